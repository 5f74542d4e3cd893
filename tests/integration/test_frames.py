"""How deep a permit's way is, as `python -m bench.limiter.frames` prints it."""

from __future__ import annotations

from bench.limiter.frames import frames


def test_from_a_page_to_its_permit_there_are_at_most_14_frames() -> None:
    found = frames()
    assert len(found) <= 14, "\n".join(found)
    assert found[0].startswith("CourtListenerClient.page ")
    assert any(name.startswith("RedisLedger.acquire ") for name in found)
