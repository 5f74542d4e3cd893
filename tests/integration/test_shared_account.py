"""An account that others use, too: two greedy installations that know nothing of each other, in simulated time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
import redis

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Database
from resources.errors import QuotaDeferred, Unanswered
from tests.integration.shared_account import DAY_SECONDS, Installation, Server, play

PLAIN = "5/min,50/hour,125/day"


class Stage:
    """Servers on which installations live that share nothing but the account."""

    def __init__(self, client: redis.Redis, database: Database) -> None:
        self.client, self.database = client, database

    def installations(self, server: Server, count: int = 2) -> list[Installation]:
        return [Installation(server, self.client, self.database, f"installation{n}") for n in range(count)]


@pytest.fixture
def stage(redis_server: RedisServer, redis_client: redis.Redis, database: Database) -> Iterator[Stage]:
    client = redis.Redis.from_url(redis_server.url, decode_responses=True)
    yield Stage(client, database)
    client.close()


def refused_share(installations: list[Installation], since: float) -> float:
    """The share of the requests that were refused after a moment, in seconds since the start."""
    refused = sum(at > since for each in installations for at in each.refused_at)
    return refused / sum(at > since for each in installations for at in each.sent_at)


def admitted(installation: Installation, since: float, until: float) -> int:
    within = [at for at in installation.sent_at if since <= at < until]
    return len(within) - sum(since <= at < until for at in installation.refused_at)


@pytest.mark.parametrize(
    ("rates", "latency_seconds", "second_from", "fair_from", "end", "enough"),
    [
        pytest.param(PLAIN, 0.2, 0.0, 0.0, 2 * DAY_SECONDS, 240, id="two days"),
        # Nothing is left of the first day for the one that comes later.
        pytest.param(PLAIN, 0.2, 21_600.0, DAY_SECONDS, 3 * DAY_SECONDS, 240, id="one comes six hours later"),
        pytest.param("5/1s,20/8s", 0.04, 0.0, 10.0, 200.0, 420, id="fast"),
        pytest.param("5/1s,20/8s", 0.04, 30.0, 450.0, 600.0, 320, id="fast, one comes later"),
    ],
)
def test_two_greedy_installations_hardly_refuse_each_other_and_share_fairly(
    stage: Stage,
    rates: str,
    latency_seconds: float,
    second_from: float,
    fair_from: float,
    end: float,
    enough: int,
) -> None:
    server = Server(rates, latency_seconds=latency_seconds)
    first, second = pair = stage.installations(server)
    play(server, [(first, 0.0, end), (second, second_from, end)])
    acquainted = max(first.saw_others_at, second.saw_others_at)
    assert refused_share(pair, acquainted) <= 0.03
    shares = [admitted(each, fair_from, end) for each in pair]
    assert min(shares) >= 0.8 * max(shares)
    assert sum(shares) >= enough
    assert usage_an_hour(server) <= 120


def usage_an_hour(server: Server) -> int:
    """The most requests to api-usage in an hour, of all together."""
    hours = Counter(int(entry.time // 3600) for entry in server.truth.entries if entry.endpoint == "api-usage")
    return max(hours.values())


def test_whoever_is_alone_again_gets_everything_back(stage: Stage) -> None:
    server = Server(PLAIN)
    first, second = stage.installations(server)
    play(server, [(first, 0.0, 4 * DAY_SECONDS), (second, 0.0, 0.5 * DAY_SECONDS)])
    assert admitted(first, 0.0, DAY_SECONDS) < 80
    assert admitted(first, 3 * DAY_SECONDS, 4 * DAY_SECONDS) == 125
    assert first.others == {}


def test_somebody_who_asks_now_and_then_costs_little_more_than_that(stage: Stage) -> None:
    server = Server(PLAIN)
    [ours] = stage.installations(server, 1)
    for hour in range(48):
        play(server, [(ours, hour * 3600.0, (hour + 1) * 3600.0)])
        if hour % 12 == 5:
            server.asked_by_hand()
    assert admitted(ours, 0.0, DAY_SECONDS) + admitted(ours, DAY_SECONDS, 2 * DAY_SECONDS) >= 240
    assert len(ours.refused_at) <= 1


def test_neither_asks_for_more_than_half_of_api_usage(stage: Stage) -> None:
    server = Server("600/min")
    pair = stage.installations(server)
    for _ in range(100):
        for each in pair:
            each.client.refresh_quota(max_age_seconds=0)
        server.clock.advance(5)
    assert usage_an_hour(server) <= 120
    assert not any(entry.refused for entry in server.truth.entries)


def test_a_run_that_begins_again_looks_what_others_did_meanwhile(stage: Stage) -> None:
    server = Server("5/min,50/hour")
    [ours] = stage.installations(server, 1)
    server.asked_by_hand()
    ours.go_on()  # The first reading: somebody was here.
    server.clock.advance(30)
    for _ in range(4):
        server.asked_by_hand()
    again = Installation(server, stage.client, stage.database, ours.name)
    while not again.go_on():
        pass
    assert not again.refused_at


def test_a_run_is_deferred_until_the_server_has_room_not_until_all_of_the_others_use_has_aged(stage: Stage) -> None:
    server = Server("5/min,50/hour")
    for _ in range(50):
        server.asked_by_hand()
        server.clock.advance(12.8)
    [ours] = stage.installations(server, 1)
    # The first of theirs was 650 seconds ago: in 2950 there is room for one, and for another every 13 seconds.
    assert ours.go_on() == pytest.approx(2950, abs=2)
    server.clock.advance(2952)
    assert ours.go_on() == 0.0
    assert not ours.refused_at


@pytest.mark.parametrize("rates", ["5/min,50/hour", "5/min,40/hour,300/day"])
def test_what_the_server_never_logged_defers_no_run(stage: Stage, rates: str) -> None:
    server = Server("50/min,50/hour")
    [ours] = stage.installations(server, 1)
    for _ in range(50):
        assert ours.go_on() == 0.0
    server.account.forget()
    server.account.set_rates(rates)
    server.clock.advance(700)
    for _ in range(5):
        assert ours.go_on() == 0.0
    assert ours.go_on() > 0
    assert not ours.refused_at


def test_requests_that_are_never_logged_are_made_up_for_and_none_is_refused(stage: Stage) -> None:
    server = Server("20/min,100/hour", unlogged=0.4)
    [ours] = stage.installations(server, 1)
    for minute in range(0, 6 * 60, 3):  # Read now and then, at no special time.
        play(server, [(ours, minute * 60.0, (minute + 3) * 60.0)])
        ours.client.refresh_quota(max_age_seconds=0)
    assert not ours.refused_at
    logged = sum(entry.admitted and entry.endpoint == "courts" for entry in server.truth.entries)
    assert logged >= 0.9 * 600
    assert len(ours.sent_at) > 900


def test_what_may_still_be_logged_is_not_given_back(stage: Stage) -> None:
    """A request that is under way when api-usage is asked, or that has no answer, is in no count yet."""
    server = Server("2/min")
    [ours] = stage.installations(server, 1)
    with ours.limiter.permit():
        ours.client.read_quota()
        with suppress(Unanswered), ours.limiter.permit():
            raise Unanswered
        ours.client.read_quota()
        with pytest.raises(QuotaDeferred), ours.limiter.permit():
            pass
    server.clock.advance(61)  # What was answered has aged out; what was not may still arrive.
    with ours.limiter.permit():
        pass
    with pytest.raises(QuotaDeferred), ours.limiter.permit():
        pass
