"""For a consumer: which over to ask REST for, after a push.

A push names a ball and carries none of its details; REST has them by over. That ``over`` of a push counts from 0, and
overs in REST from 1, follows from samples and is not documented (sheet §5, medium confidence). So ask for the keys in
turn until one over holds the ball; compare its ``key`` with ``ball_key`` as text.
"""

from __future__ import annotations

from collections.abc import Sequence

from touchline.feeds.roanuz.messages import Notification


def over_keys(notification: Notification, innings_order: Sequence[str] = ()) -> tuple[str, ...]:
    """The over keys to try for the ball of a push, the likeliest first; none when it is about no ball.

    ``innings_order`` is ``play.innings_order`` of the match document (``["b_1","a_1"]``): the innings with the push's
    ``batting_order``. Without it both teams are tried.
    """
    ball = notification.data.ball
    if ball is None:
        return ()
    if ball.batting_order <= len(innings_order):
        innings: tuple[str, ...] = (innings_order[ball.batting_order - 1],)
    else:
        number = (ball.batting_order + 1) // 2
        innings = (f"a_{number}", f"b_{number}") if ball.batting_order % 2 else (f"b_{number}", f"a_{number}")
    numbers = [number for number in (ball.over + 1, ball.over, ball.over + 2) if number > 0]
    return tuple(f"{name}_{number}" for number in numbers for name in innings)
