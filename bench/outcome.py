"""What became of a request, as one byte of a generator's report."""

UNANSWERED, STORED, REFUSED, BARE_503, OTHER, BROKEN, UNSENT = range(7)
NAMES = ("unanswered", "200", "503", "503 without Retry-After", "other", "broken", "unsent")


def frame(data: bytes) -> int:
    """The outcome that a response stands for; UNANSWERED while it is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return UNANSWERED
    at = data.find(b"ontent-Length: ", 0, end)
    if at >= 0:
        if len(data) < end + 4 + int(data[at + 15 : data.find(b"\r", at)]):
            return UNANSWERED
    elif b"chunked" in data[:end] and not data.endswith(b"0\r\n\r\n"):
        return UNANSWERED
    status = data[9:12]
    if status[:1] == b"2":
        return STORED
    if status == b"503":
        return REFUSED if b"\r\nRetry-After: " in data[:end] else BARE_503
    return OTHER
