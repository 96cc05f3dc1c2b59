"""The sandbox's sentences. Scoring is told in five languages (seed, Parameters), everything else in English."""

from __future__ import annotations

from typing import Final

SCORE: Final = "score"
LEAD: Final = "lead_change"
TIE: Final = "tie"

_SCORING: Final = {
    "en": {
        SCORE: "{player} scores for {team}: {home} {home_score}, {away} {away_score}.",
        LEAD: "{player} scores and {team} take the lead: {home} {home_score}, {away} {away_score}.",
        TIE: "{player} scores for {team} and it is level: {home} {home_score}, {away} {away_score}.",
    },
    "fr": {
        SCORE: "{player} marque pour {team} : {home} {home_score}, {away} {away_score}.",
        LEAD: "{player} marque et {team} passe devant : {home} {home_score}, {away} {away_score}.",
        TIE: "{player} marque pour {team} et c’est l’égalité : {home} {home_score}, {away} {away_score}.",
    },
    "de": {
        SCORE: "{player} trifft für {team}: {home} {home_score}, {away} {away_score}.",
        LEAD: "{player} trifft und bringt {team} in Führung: {home} {home_score}, {away} {away_score}.",
        TIE: "{player} trifft für {team} zum Ausgleich: {home} {home_score}, {away} {away_score}.",
    },
    "it": {
        SCORE: "{player} segna per {team}: {home} {home_score}, {away} {away_score}.",
        LEAD: "{player} segna e {team} passa in vantaggio: {home} {home_score}, {away} {away_score}.",
        TIE: "{player} segna per {team} ed è parità: {home} {home_score}, {away} {away_score}.",
    },
    "es": {
        SCORE: "{player} anota para {team}: {home} {home_score}, {away} {away_score}.",
        LEAD: "{player} anota y {team} se adelanta: {home} {home_score}, {away} {away_score}.",
        TIE: "{player} anota para {team} y hay empate: {home} {home_score}, {away} {away_score}.",
    },
}


def scoring(locale: str, trigger: str, **names: str | int) -> str:
    """The sentence on a score that changed."""
    return _SCORING[locale][trigger].format(**names)


def high(player: str, current: int, statistic: str, before: int) -> str:
    """The sentence on a season high."""
    return f"{player} has {current} {statistic} tonight, a season high (it was {before})."


def career(player: str, milestone: int, statistic: str) -> str:
    """The sentence on a round number of a career."""
    return f"{player} has reached {milestone} career {statistic}."


def hat_trick(player: str) -> str:
    """The sentence on a third goal."""
    return f"{player} has a hat trick."
