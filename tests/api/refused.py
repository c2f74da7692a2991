"""What is sent to be refused, and how every refusal looks: 4xx, `error` and `detail`, and nothing changed."""

from typing import Any

from tests.api.conftest import Filled
from tests.pictures import jpeg

PICTURE = jpeg(1)
LONG = "x" * 129

BAD_IDS = ["", LONG, "a/b", "/", ".", "..", "a\x00b", "a\x07b", "a\nb", "\x7f", "a\u0085b"]
BAD_LABELS = ["", LONG, "a\x00b", "a\x1bb"]
BAD_BOXES = [
    "", "1,2,3", "1,2,3,4,5", "a,b,c,d", "0,0,0,10", "0,0,10,0", "-1,0,5,5", "0,0,-5,5", "1.5,0,5,5", "1e3,0,5,5",
    "nan,0,5,5", "9" * 5000 + ",0,5,5", "1;2;3;4", "1_0,0,5,5", "[0,0,5,5,0.93]", "[0.5,0,0,5,5]", "[false,0,0,5,5]",
    '{"0":1,"1":1,"20":1,"40":1}', "٣,0,5,5",
]  # fmt: skip


def assert_refused(filled: Filled, answer: Any, status: int = 422, code: str = "INVALID_INPUT", word: str = "") -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, code), answer.text
    assert set(answer.json()) == {"error", "detail"}
    assert word in answer.json()["detail"]
    assert 0 < len(answer.json()["detail"]) < 2000, "a detail is for people to read"
    filled.assert_untouched()
