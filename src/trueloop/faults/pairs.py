"""Faults in preference pairs: labels, answers, prompts, splits, and what becomes of them as tokens."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

from trueloop.faults import pair_seams as at
from trueloop.faults import pairs_bed
from trueloop.faults.pair_seams import planted

FAULTS = (
    planted(
        "labels_swapped",
        "labels",
        "chosen and rejected are read from each other's column",
        "preferences.labels",
        plant=lambda: at.each(at.turned),
    ),
    planted(
        "labels_random", "labels", "every other label is turned", "preferences.labels", plant=lambda: at.given(at.coin)
    ),
    planted(
        "both_orders",
        "labels",
        "every pair is there in both orders",
        "preferences.contradictions",
        plant=lambda: at.given(at.both_orders),
    ),
    planted(
        "answers_identical",
        "answers",
        "both columns are filled from one",
        "preferences.identical_answers",
        plant=lambda: at.each(lambda p: replace(p, rejected=p.chosen)),
    ),
    planted(
        "answers_empty",
        "answers",
        "a missing column became empty text",
        "preferences.empty_answers",
        plant=lambda: at.each(lambda p: replace(p, chosen="", rejected="")),
    ),
    planted(
        "chosen_empty",
        "answers",
        "the chosen column is missing",
        "preferences.empty_answers",
        plant=lambda: at.each(lambda p: replace(p, chosen="")),
    ),
    planted(
        "chosen_always_longer",
        "length",
        "the rule that made the labels prefers more words",
        "preferences.length_confound",
        plant=lambda: at.each(lambda p: replace(p, chosen=p.chosen + " So that is it.")),
    ),
    planted(
        "one_pair_many_times",
        "duplicates",
        "one row was repeated",
        "preferences.duplicates",
        "preferences.prompts",
        recorded=("preference 25",),
        plant=lambda: at.given(lambda pairs: [pairs[0]] * len(pairs)),
    ),
    planted(
        "half_of_them_twice",
        "duplicates",
        "a file was read twice",
        "preferences.duplicates",
        recorded=("preference 25",),
        plant=lambda: at.given(lambda pairs: pairs[: len(pairs) // 2] * 2),
    ),
    planted(
        "one_prompt_for_all",
        "prompts",
        "every pair has the first one's prompt",
        "preferences.prompts",
        recorded=("preference 25",),
        plant=lambda: at.each(lambda p: at.asked(p, "Q: 37+48=?\nA: ")),
    ),
    planted(
        "prompt_templated_twice",
        "template",
        "the question already stood in its template",
        "preferences.template_once",
        recorded=("preference 10",),
        plant=lambda: at.each(lambda p: at.asked(p, f"Q: {p.problem.prompt}\nA: ")),
    ),
    planted(
        "rows_templated_again",
        "template",
        "rows are made with another template than the task asks with",
        "preferences.prompt_tokens",
        recorded=("preference 10", "preference 11"),
        plant=lambda: at.row(at.retold),
    ),
    planted(
        "prompts_differ_in_a_pair",
        "tokens",
        "pairs are kept by position and one is lost",
        "preferences.prompt_tokens",
        plant=lambda: at.rows(at.other_prompts),
    ),
    planted(
        "held_out_in_training",
        "overlap",
        "the held-out pairs are trained too",
        "preferences.held_out_overlap",
        plant=lambda: mock.patch.object(pairs_bed, "read", at.with_held_out),
    ),
    planted(
        "splits_swapped",
        "overlap",
        "the two data sets are swapped",
        "preferences.splits",
        recorded=("preference 38",),
        plant=lambda: mock.patch.object(pairs_bed, "read", at.other_split),
    ),
    planted(
        "pairs_lost",
        "lost rows",
        "each batch of the data loses what stands at its edge",
        "preferences.pairs_lost",
        recorded=("preference 27",),
        plant=lambda: at.rows(lambda found: [r for k, r in enumerate(found) if k % 16 != 15]),
    ),
    planted(
        "answers_cut_off",
        "truncation",
        "the limit of a row is that of its prompt",
        "preferences.answers_cut",
        "preferences.same_tokens",
        overrides=("max_tokens=20",),
    ),
    planted(
        "no_end_token",
        "end token",
        "the end token is outside the loss",
        "preferences.end_token",
        "preferences.answers_cut",
        plant=lambda: at.row(at.without_end),
    ),
    planted(
        "prompt_is_trained",
        "mask",
        "the prompt is inside the loss",
        "preferences.answer_tokens",
        plant=lambda: at.row(at.prompt_trained),
    ),
    planted(
        "mask_one_late",
        "mask",
        "the loss mask is shifted by one",
        "preferences.answer_tokens",
        "preferences.prompt_tokens",
        plant=lambda: at.row(at.shifted),
    ),
)
