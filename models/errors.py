"""What the model side says when it cannot go on."""


class Refused(Exception):
    """Input that cannot be used, named, with what to do about it; commands print it as one line."""


class NotFinite(Refused):
    """A training that went to NaN or infinity: other flags may not."""


class Unfit(Refused):
    """Flags that do not go with each other or with the pictures: other flags may."""


class Outside(Refused):
    """What no flags can help: a file that cannot be written, a picture that cannot be read."""
