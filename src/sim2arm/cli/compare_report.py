"""What a comparison found: rows, and one page that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .compare_log import Outcome, Pairing, Plan, Repeat, pairings, repeats_of, table_of
from .intervals import clopper_pearson
from .pair_tests import LEVEL, holm, mcnemar
from .report import Block, Section, Verdict, beside, picture, table, text, tiles, write_report
from .table import Row

STARTS = "starts"


def names(plan: Plan) -> list[str]:
    """Return what the bundles are called: A, B and so on, with where they lie."""
    return [f"{chr(ord('A') + i)} ({path})" for i, path in enumerate(plan.bundles)]


def rows_of(
    plan: Plan, outcomes: Mapping[int, Outcome], repeats: Sequence[Repeat] = ()
) -> list[Row]:
    """Return the success of each bundle with what did not count, and how every two differ."""
    rows: list[Row] = []
    table, called, again = table_of(plan, outcomes), names(plan), repeats_of(plan, repeats)
    for bundle, name in enumerate(called):
        own = [row[bundle].success for row in table.values() if bundle in row]
        low, high = clopper_pearson(sum(own), len(own))
        rows += [
            Row(case=name, metric="success", value=sum(own) / len(own)),
            Row(case=name, metric="success, 95 % low", value=low),
            Row(case=name, metric="success, 95 % high", value=high),
            Row(case=name, metric="trials", value=len(own)),
            Row(case=name, metric="repeats", value=again[bundle]),
        ]
    found = pairings(plan, outcomes)
    adjusted = holm([mcnemar(each.only_first, each.only_second) for each in found])
    for each, together in zip(found, adjusted, strict=True):
        case = f"{called[each.first][0]} and {called[each.second][0]}"
        pairs = each.both + each.neither + each.only_first + each.only_second
        rows += [
            Row(case=case, metric="difference of success",
                value=(each.only_first - each.only_second) / pairs),
            Row(case=case, metric="pairs", value=pairs),
            Row(case=case, metric="only the first", value=each.only_first),
            Row(case=case, metric="only the second", value=each.only_second),
            Row(case=case, metric="p (McNemar, exact)",
                value=mcnemar(each.only_first, each.only_second)),
        ]  # fmt: skip
        if len(found) > 1:
            rows.append(Row(case=case, metric="p (Holm)", value=together))
        if each.only_first + each.only_second:
            low, high = clopper_pearson(each.only_first, each.only_first + each.only_second)
            share = "share of differing pairs that the first wins"
            rows += [Row(case=case, metric=f"{share}, 95 % low", value=low),
                     Row(case=case, metric=f"{share}, 95 % high", value=high)]  # fmt: skip
    return rows


def sentence(plan: Plan, each: Pairing, p: float) -> str:
    """Return what two bundles showed, in words that say no more than the test does."""
    first, second = (chr(ord("A") + i) for i in (each.first, each.second))
    won = f"{each.only_first} starts only by {first}, {each.only_second} only by {second}"
    if p > LEVEL:
        return f"No difference between {first} and {second} was found: {won} (p = {p:.3g})."
    better, other = (first, second) if each.only_first > each.only_second else (second, first)
    return f"{better} is better than {other}: {won} (p = {p:.3g})."


def write_page(
    folder: Path,
    plan: Plan,
    outcomes: Mapping[int, Outcome],
    difference: float,
    repeats: Sequence[Repeat] = (),
) -> Path:
    """Write report.html into the folder of a comparison."""
    found = pairings(plan, outcomes)
    adjusted = holm([mcnemar(each.only_first, each.only_second) for each in found])
    lead = [text(sentence(plan, each, p)) for each, p in zip(found, adjusted, strict=True)]
    lead.append(tiles(_tiles(plan, outcomes, repeats)))
    lead.append(text(
        f"{plan.pairs} starts, each run once by every bundle, in an order drawn from the seed "
        f"{plan.order_seed}; {plan.setting}. {_found(difference)}", soft=True,
    ))  # fmt: skip
    sections = [
        Section(title="Bundles", blocks=[_bundles(plan)]),
        Section(title="Pairs", blocks=[_pairs(plan, found, adjusted)]),
    ]
    pictures = _pictures(folder, found)
    if pictures:
        sections.append(Section(title="Starts", blocks=[beside(pictures)]))
    sections.append(Section(title="Trials, as they were run", blocks=[_trials(plan, outcomes)]))
    if repeats:
        again = _repeats(plan, repeats)
        sections.append(Section(title="Repeats, which do not count", blocks=[again]))
    return write_report(folder, sections, title="sim2arm compare", lead=lead)


def _found(difference: float) -> str:
    return f"A difference of {100 * difference:g} points was said beforehand to matter."


def _tiles(
    plan: Plan, outcomes: Mapping[int, Outcome], repeats: Sequence[Repeat]
) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    rows, again = table_of(plan, outcomes), repeats_of(plan, repeats)
    for bundle in range(len(plan.bundles)):
        own = [row[bundle].success for row in rows.values() if bundle in row]
        low, high = clopper_pearson(sum(own), len(own))
        rate, span = 100 * sum(own) / len(own), f"{100 * low:.0f} to {100 * high:.0f} %"
        more = f", {again[bundle]} repeated" if repeats else ""
        note = f"{sum(own)} of {len(own)}, {span}{more}"
        found.append((chr(ord("A") + bundle), f"{rate:.0f} %", note))
    return found


def _bundles(plan: Plan) -> Block:
    rows = [(chr(ord("A") + i), path, plan.hashes[i][:12]) for i, path in enumerate(plan.bundles)]
    return table(("", "bundle", "SHA-256 of its manifest"), rows)


def _pairs(plan: Plan, found: Sequence[Pairing], adjusted: Sequence[float]) -> Block:
    header = ("", "both", "only the first", "only the second", "neither", "p, exact", "p, Holm")
    rows = [
        (f"{chr(ord('A') + each.first)} and {chr(ord('A') + each.second)}", each.both,
         each.only_first, each.only_second, each.neither,
         mcnemar(each.only_first, each.only_second), p)
        for each, p in zip(found, adjusted, strict=True)
    ]  # fmt: skip
    return table(header, rows)


def _pictures(folder: Path, found: Sequence[Pairing]) -> list[Block]:
    blocks: list[Block] = []
    for pair in sorted({pair for each in found for pair in each.differing}):
        path = folder / STARTS / f"pair-{pair + 1:03d}.png"
        if path.is_file():
            caption = f"pair {pair + 1}: the outcomes differ"
            blocks.append(picture(path.read_bytes(), caption))
    overlays = sorted((folder / STARTS).glob("pair-*-overlay*.png"))
    return blocks + [picture(path.read_bytes(), path.stem.replace("-", " ")) for path in overlays]


def _trials(plan: Plan, outcomes: Mapping[int, Outcome]) -> Block:
    rows: list[tuple[int | str | Verdict, ...]] = []
    for trial, (pair, bundle) in enumerate(plan.order()):
        if trial in outcomes:
            end = outcomes[trial]
            word = Verdict(good=end.success, text="success" if end.success else "failure")
            rows.append((trial + 1, pair + 1, chr(ord("A") + bundle), word, end.ended, end.steps,
                         end.judge, end.at))  # fmt: skip
    header = ("trial", "pair", "bundle", "outcome", "ended", "steps", "judge", "UTC")
    return table(header, rows)


def _repeats(plan: Plan, repeats: Sequence[Repeat]) -> Block:
    order, rows = plan.order(), list[tuple[int | str, ...]]()
    for repeat in repeats:
        pair, bundle = order[repeat.trial]
        rows.append((repeat.trial + 1, pair + 1, chr(ord("A") + bundle), repeat.ended, repeat.at))
    return table(("trial", "pair", "bundle", "ended", "UTC"), rows)
