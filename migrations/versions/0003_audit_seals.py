"""Entries of the audit log may go once they are sealed: an entry stays that says who exported them, and to where."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
REFUSED = "the audit log is append-only"
UNSEALED = "(SELECT coalesce(max(through), 0) FROM audit_seals)"
UNTOLD = "NOT EXISTS (SELECT 1 FROM audit WHERE id = NEW.entry AND id > NEW.through AND action = 'audit.rotate')"


def upgrade() -> None:
    op.create_table(
        "audit_seals",
        sa.Column("through", BIG_ID, nullable=False, autoincrement=False),
        sa.Column("entry", BIG_ID, nullable=False),
        sa.PrimaryKeyConstraint("through", name="pk_audit_seals"),
    )
    for statement in _on_sqlite() if op.get_bind().dialect.name == "sqlite" else _on_postgresql():
        op.execute(statement)


def downgrade() -> None:
    """Entries that are sealed and not yet removed come to light again."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_no_delete")
        op.drop_table("audit_seals")
        op.execute(f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END")
        return
    op.execute("DROP TRIGGER audit_append_only ON audit")
    op.execute("DROP TRIGGER audit_sealed_only ON audit")
    op.drop_table("audit_seals")
    op.execute("DROP FUNCTION refuse_unsealed_removal")
    op.execute("DROP FUNCTION refuse_untold_seal")
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
    )


def _on_sqlite() -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
    return [
        "DROP TRIGGER audit_no_delete",
        f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN OLD.id > {UNSEALED} {refuse}",
        f"CREATE TRIGGER audit_seals_told BEFORE INSERT ON audit_seals WHEN {UNTOLD} {refuse}",
        f"CREATE TRIGGER audit_seals_no_update BEFORE UPDATE ON audit_seals {refuse}",
        f"CREATE TRIGGER audit_seals_no_delete BEFORE DELETE ON audit_seals {refuse}",
    ]


def _on_postgresql() -> list[str]:
    function = "CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {} THEN RAISE EXCEPTION '{}'; "
    function += "END IF; RETURN NEW; END $$"
    unsealed = f"EXISTS (SELECT 1 FROM gone WHERE id > {UNSEALED})"  # noqa: S608
    return [
        "DROP TRIGGER audit_append_only ON audit",
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()",
        function.format("refuse_unsealed_removal", unsealed, REFUSED),
        "CREATE TRIGGER audit_sealed_only AFTER DELETE ON audit REFERENCING OLD TABLE AS gone "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_unsealed_removal()",
        function.format("refuse_untold_seal", UNTOLD, REFUSED),
        "CREATE TRIGGER audit_seals_told BEFORE INSERT ON audit_seals "
        "FOR EACH ROW EXECUTE FUNCTION refuse_untold_seal()",
        "CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()",
    ]
