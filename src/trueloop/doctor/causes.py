"""What can be wrong with a run, and which answers of which checks speak for it or against it.

Weights are natural logarithms of likelihood ratios, rounded: how much more often a check gives this answer in runs with
the cause than in runs without it.  exp(3) is 20 to 1, so that one such answer outweighs the prior of 1 to 20.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Signs = Mapping[str, tuple[float, float, float]]
"""Check id -> weight of its fail, of its warn, of its pass.  `unknown` says nothing."""

PRIOR = -3.0
"""Of every cause: 1 to 20 before anything was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that can be wrong.

    id      the anchor of its section in docs/checks.md
    says    it in one sentence
    then    the next command or key
    signs   of the checks that the doctor asks
    record  the same for checks that are on record only: patterns of their ids
    curve   the metric that shows it; "" for one of transcripts: the mean reward, step by step
    shows   which completions are examples: all, cut, looping, unrewarded_right, rewarded_wrong, scaffold, running_on,
            empty, unscored, last
    """

    id: str
    says: str
    then: str
    signs: Signs
    record: Signs = field(default_factory=dict)
    curve: str = "reward/mean"
    shows: str = "last"


CAUSES: tuple[Cause, ...] = (
    Cause(
        id="verifier-rejects-right-answers",
        says="The verifier gives right answers nothing.",
        then="give it one of the answers below by hand: trueloop grade",
        signs={
            "transcripts.right_is_rewarded": (4.0, 0.5, -5.0),
            "transcripts.reward_varies": (3.0, 0.0, -1.5),
            "transcripts.sometimes_right": (-2.0, 0.0, 0.5),
        },
        record={r"(task|verifier|verifying|targets?)\.": (3.2, 0.5, 0.0)},
        shows="unrewarded_right",
    ),
    Cause(
        id="right-answers-in-another-format",
        says="Answers are right, in another format than the one that is rewarded or evaluated.",
        then="ask for the format in the prompt, or reward the lenient reading: see leniency",
        signs={
            "transcripts.right_is_rewarded": (3.5, 3.3, -1.5),
            "transcripts.reward_varies": (-3.0, 0.0, 0.5),
            "outcome.strict_beside_lenient": (4.0, 3.2, -1.0),
        },
        record={r"\w+\.(strict|lenient|extractors?|readings)\w*": (3.2, 3.1, 0.0)},
        curve="parts/strict",
        shows="unrewarded_right",
    ),
    Cause(
        id="verifier-accepts-wrong-answers",
        says="The verifier rewards answers that are wrong.",
        then="give it one of the answers below by hand: trueloop grade",
        signs={
            "transcripts.wrong_is_not_rewarded": (5.0, 3.3, -3.0),
            "transcripts.one_answer_per_problem": (5.0, 3.3, -2.0),
        },
        record={r"(canary|canaries|hacking)\.": (4.0, 3.2, 0.0)},
        shows="rewarded_wrong",
    ),
    Cause(
        id="every-reward-is-the-same",
        says="Every completion gets the same reward: nothing can be learned from it.",
        then="grade a right and a wrong answer by hand: trueloop grade",
        signs={
            "transcripts.reward_varies": (5.0, 0.0, -6.0),
            "transcripts.right_is_rewarded": (-1.5, 0.0, 0.0),
            "transcripts.wrong_is_not_rewarded": (-1.5, 0.0, 0.0),
            "transcripts.sometimes_right": (-3.0, 0.0, 0.0),
            "transcripts.cut_at_limit": (-1.0, 0.0, 0.0),
            "transcripts.not_empty": (-1.0, 0.0, 0.0),
        },
        record={r"\w+\.(reward_varies|constant|reward_constant)": (3.2, 0.0, 0.0)},
    ),
    Cause(
        id="problems-too-hard",
        says="There is no signal: the problems are too hard for this policy.",
        then="begin with easier problems or a warm start, or sample more: flow.samples",
        signs={
            "transcripts.sometimes_solved": (3.5, 3.2, -4.0),
            "transcripts.sometimes_right": (2.0, 0.0, -3.0),
            "transcripts.right_is_rewarded": (-3.0, 0.0, 0.0),
            "transcripts.cut_at_limit": (-2.0, 0.0, 0.0),
            "transcripts.not_empty": (-3.0, 0.0, 0.0),
            "transcripts.runs_on": (-1.0, 0.0, 0.0),
            "transcripts.scaffold_in_completions": (-2.0, 0.0, 0.0),
        },
        record={r"sampling\.(signal|pass_rate)": (2.0, 1.0, 0.0)},
        curve="groups/none_passed",
    ),
    Cause(
        id="problems-too-easy",
        says="There is no signal: the policy solves these problems already.",
        then="choose harder problems",
        signs={
            "transcripts.sometimes_failed": (4.0, 3.2, -4.0),
            "transcripts.wrong_is_not_rewarded": (-4.0, 0.0, 0.0),
            "transcripts.one_answer_per_problem": (-4.0, 0.0, 0.0),
        },
        curve="groups/all_passed",
    ),
    Cause(
        id="no-signal-in-groups",
        says="Completions of one problem nearly always get the same reward.",
        then="raise flow.samples, or choose problems of middling difficulty",
        signs={
            "transcripts.groups_vary": (4.0, 3.2, -3.0),
            "transcripts.reward_varies": (-2.0, 0.0, 0.0),
            "transcripts.sometimes_solved": (-2.0, -0.5, 0.0),
            "transcripts.sometimes_failed": (-2.0, -0.5, 0.0),
            "transcripts.completions_differ": (-2.0, -0.5, 0.0),
            "transcripts.not_one_text": (-1.0, -0.5, 0.0),
        },
        record={r"(sampling|rewards)\.signal": (3.1, 0.5, 0.0)},
        curve="groups/flat",
    ),
    Cause(
        id="sampling-is-not-random",
        says="Completions of one problem are copies: sampling has collapsed, or has one seed.",
        then="look at draw.temperature, and at the engine's seeds",
        signs={"transcripts.completions_differ": (5.0, 3.3, -4.0), "transcripts.groups_vary": (0.5, 0.0, -0.5)},
        record={r"sampling\.(distinct|as_asked)": (3.5, 3.1, 0.0)},
        curve="length/distinct",
        shows="all",
    ),
    Cause(
        id="answers-are-cut",
        says="Answers are cut at the token limit before they end.",
        then="raise max_tokens of the task, or give it stops",
        signs={
            "transcripts.cut_at_limit": (5.0, 3.5, -4.0),
            "outcome.evaluation_not_cut": (1.0, 0.5, -0.5),
            "transcripts.runs_on": (-1.0, -0.5, 0.0),
            "transcripts.loops": (-1.0, -0.5, 0.0),
        },
        record={r"\w+\.(cut|cut_at_limit|ends?_\w+)$": (3.3, 1.0, 0.0)},
        curve="length/cut",
        shows="cut",
    ),
    Cause(
        id="evaluation-is-cut",
        says="Answers of the evaluation are cut at its limit, and count as wrong.",
        then="raise the limit of the evaluation, and evaluate again",
        signs={"outcome.evaluation_not_cut": (5.0, 3.3, -4.0), "transcripts.cut_at_limit": (-1.0, -0.5, 0.0)},
        record={r"rollouts\.guard_cut": (3.3, 1.0, 0.0)},
        curve="length/cut",
        shows="cut",
    ),
    Cause(
        id="runs-on-into-the-next-problem",
        says="Completions answer, and then pose and answer further problems.",
        then="add what opens a problem to the task's stops",
        signs={"transcripts.runs_on": (5.0, 3.3, -4.0)},
        record={r"\w+\.runs_on": (3.3, 3.1, 0.0)},
        curve="length/mean",
        shows="running_on",
    ),
    Cause(
        id="chat-template-on-a-base-model",
        says="Chat markers stand in the completions: a chat template on a model that does not know it, or an end of "
        "turn that does not stop.",
        then="prompt a base model with plain text; let a chat model's end of turn be a stop",
        signs={"transcripts.scaffold_in_completions": (5.0, 3.4, -3.0), "transcripts.loops": (1.0, 0.5, 0.0)},
        record={r"prompt\.\w*(template|chat|base)\w*": (4.0, 3.2, 0.0)},
        shows="scaffold",
    ),
    Cause(
        id="template-applied-twice",
        says="The prompts have their template twice.",
        then="give messages, or rendered text, and not both",
        signs={"transcripts.template_once": (6.0, 4.0, -5.0)},
        record={r"prompt\.\w*(twice|once|doubled)\w*": (4.5, 3.3, 0.0)},
        shows="all",
    ),
    Cause(
        id="completions-loop",
        says="Completions repeat themselves without end.",
        then="look at the template and the end token; late in a run: lower optim.lr",
        signs={
            "transcripts.loops": (4.5, 3.3, -4.0),
            "transcripts.scaffold_in_completions": (-1.0, -0.5, 0.0),
            "transcripts.reward_kept": (-1.0, 0.0, 0.0),
        },
        record={r"\w+\.(loops|repetition)": (3.3, 1.0, 0.0)},
        curve="length/mean",
        shows="looping",
    ),
    Cause(
        id="completions-are-empty",
        says="Completions have no text.",
        then="look at the stops, and at the end of the prompt",
        signs={"transcripts.not_empty": (5.0, 3.3, -4.0)},
        curve="length/mean",
        shows="empty",
    ),
    Cause(
        id="policy-collapsed",
        says="The policy has collapsed: a learning rate that is too high, or updates that go the wrong way.",
        then="go back to a checkpoint before the fall and lower optim.lr: trueloop run --set optim.lr=...",
        signs={
            "transcripts.reward_kept": (4.5, 0.0, -1.5),
            "outcome.length_kept": (2.5, 1.0, -0.5),
            "outcome.surprise_kept": (3.2, 0.0, -0.5),
            "outcome.gradient_steady": (2.5, 1.0, -0.3),
            "transcripts.not_one_text": (3.2, 2.0, -0.5),
            "transcripts.completions_differ": (-2.0, 0.0, 0.0),
            "outcome.effect": (2.0, 0.0, -0.5),
            "outcome.kept_its_best": (1.0, 0.0, -0.3),
        },
        record={
            r"(rewards\.collapse|rollouts\.(length|distinct)|policy\.(entropy|kl))": (1.5, 0.5, 0.0),
            r"optimizer\.(gradient_trend|gradient_spike|update_size|loss)": (1.5, 0.5, 0.0),
        },
    ),
    Cause(
        id="got-worse-after-its-best",
        says="The model was better earlier in the run: it was trained too long.",
        then="use the checkpoint of the best evaluation, judged on other rows",
        signs={
            "outcome.kept_its_best": (5.0, 0.0, -4.0),
            "transcripts.reward_kept": (-1.5, 0.0, 0.0),
            "outcome.reward_and_evaluation_agree": (-1.0, 0.0, 0.0),
        },
    ),
    Cause(
        id="training-made-it-worse",
        says="The model is worse than before training.",
        then="look at what is rewarded, and lower optim.lr",
        signs={
            "outcome.effect": (4.0, 0.0, -5.0),
            "transcripts.reward_kept": (-0.5, 0.0, 0.0),
            "outcome.reward_and_evaluation_agree": (-1.0, 0.0, 0.0),
        },
    ),
    Cause(
        id="reward-is-hacked",
        says="The reward rises by what nobody wants: a loophole is used.",
        then="read rewarded completions of the last steps; close the loophole, and evaluate by an independent grader",
        signs={
            "outcome.reward_and_evaluation_agree": (4.5, 3.3, -2.0),
            "transcripts.reward_by_variety": (4.5, 0.0, -0.5),
            "outcome.audit_kept": (5.0, 0.0, -1.0),
            "transcripts.not_one_text": (0.5, 0.5, 0.0),
            "transcripts.length_is_not_the_reward": (0.0, 1.0, 0.0),
        },
        record={r"rewards\.(held_out|audit)": (3.5, 1.0, 0.0)},
    ),
    Cause(
        id="reward-pays-for-length",
        says="Within groups the reward follows the length, and little else.",
        then="hold lengths against an independent measure; limit length in the reward",
        signs={"transcripts.length_is_not_the_reward": (0.0, 3.5, -4.0), "outcome.length_kept": (1.0, 0.5, 0.0)},
        curve="length/mean",
    ),
    Cause(
        id="format-drifts",
        says="The format of the answers drifts away while the reward does not mind.",
        then="reward the declared format; show strict beside lenient",
        signs={
            "transcripts.format_steady": (4.5, 3.4, -2.0),
            "outcome.format_kept": (5.0, 0.0, -0.5),
            "outcome.strict_beside_lenient": (1.5, 0.5, 0.0),
        },
        record={r"rewards\.format": (3.5, 1.0, 0.0)},
        curve="parts/strict",
    ),
    Cause(
        id="sampler-serves-stale-weights",
        says="The sampler serves old weights.",
        then="look at how weights are handed over: trueloop check asks whether the sampler follows a step",
        signs={
            "outcome.sampler_follows": (6.0, 0.0, -3.0),
            "outcome.ratio_is_one": (1.0, 0.5, -1.0),
            "outcome.evaluations_differ": (2.0, 0.0, -0.5),
        },
        record={
            r"(serving|served|liveness)\.\w*(follow|stale|weight|version)\w*": (4.0, 3.2, 0.0),
            r"flow\.version_lag": (3.3, 1.0, 0.0),
        },
        curve="policy/ratio",
    ),
    Cause(
        id="sampler-and-trainer-disagree",
        says="Trainer and sampler compute other log-probabilities for the same tokens.",
        then="make temperature, truncation, precision, weights and tokens the same: trueloop check names the cause",
        signs={
            "outcome.ratio_is_one": (4.5, 3.2, -4.0),
            "transcripts.logprobs_agree": (5.0, 3.3, -3.0),
            "outcome.sampler_follows": (-2.0, 0.0, 0.0),
            "transcripts.logprobs_sound": (-2.0, -0.5, 0.0),
        },
        record={r"(numerics\.|policy\.ratio)\w*": (3.5, 3.1, 0.0)},
        curve="policy/ratio",
    ),
    Cause(
        id="log-probabilities-are-broken",
        says="Logged log-probabilities are not those of draws: missing, 0, positive or a fallback.",
        then="let the engine raise where it has none",
        signs={"transcripts.logprobs_sound": (5.0, 3.3, -4.0)},
    ),
    Cause(
        id="nothing-was-trained",
        says="The weights did not move, or too few steps were taken.",
        then="look at optim.lr, at the rewards and at which parameters are trained: trueloop check",
        signs={
            "outcome.trained": (6.0, 3.2, -1.0),
            "outcome.evaluations_differ": (4.5, 0.0, -2.0),
            "transcripts.reward_varies": (-2.0, 0.0, 0.0),
            "outcome.disk": (-4.0, 0.0, 0.0),
            "outcome.memory": (-4.0, 0.0, 0.0),
        },
        record={
            r"liveness\.\w+": (3.5, 3.1, 0.0),
            r"optimizer\.(weights_moved|gradient_vanished|learning_rate|trained)": (3.5, 1.0, 0.0),
        },
        curve="grad_norm",
    ),
    Cause(
        id="no-effect",
        says="Training had no effect worth the name.",
        then="look at groups/flat and optim.lr; give it more steps",
        signs={
            "outcome.effect": (-2.0, 3.4, -5.0),
            "outcome.trained": (-2.0, -0.5, 0.0),
            "transcripts.reward_varies": (-2.0, 0.0, 0.0),
        },
        record={r"rewards\.learning": (3.1, 1.0, 0.0)},
    ),
    Cause(
        id="supervised-loss-does-not-fall",
        says="The loss on demonstrations does not fall.",
        then="look at optim.lr and at what the demonstrations hold",
        signs={"outcome.loss_fell": (5.0, 0.0, -4.0)},
        curve="loss",
    ),
    Cause(
        id="numbers-are-not-finite",
        says="Numbers became infinite or NaN.",
        then="replay the failing batch: trueloop replay RUN; lower optim.lr",
        signs={
            "outcome.finite": (6.0, 0.0, -1.0),
            "outcome.steps_taken_whole": (4.0, 0.0, -1.0),
        },
        record={r"optimizer\.finite": (4.0, 0.0, 0.0)},
        curve="grad_norm",
    ),
    Cause(
        id="verifier-fails",
        says="The verifier fails or has no verdict on completions.",
        then="read the column `why` of the rollouts, and mend it",
        signs={"transcripts.rewards_whole": (5.0, 3.4, -3.0), "outcome.answers_add_up": (3.5, 3.2, -1.0)},
        record={r"flow\.(verdicts|failed)": (3.3, 1.0, 0.0)},
        shows="unscored",
    ),
    Cause(
        id="problems-do-not-reach-the-trainer",
        says="Many problems are filtered, stale or lost before they train.",
        then="read fates/* in the metrics; change the limits that drop them",
        signs={"outcome.problems_used": (5.0, 3.3, -3.0)},
        record={r"flow\.(filtered|stale|lost|ledger)": (3.3, 1.0, 0.0)},
        curve="groups/used",
    ),
    Cause(
        id="the-same-problems-again-and-again",
        says="The same few prompts are asked.",
        then="look for duplicates, and at how the data is read",
        signs={"transcripts.prompts_distinct": (5.0, 3.3, -3.0)},
        record={r"data\.\w*(duplicate|unique|distinct)\w*": (3.3, 3.1, 0.0)},
        shows="all",
    ),
    Cause(
        id="unlike-evaluations",
        says="Its evaluations were made under different conditions, so that they cannot be compared.",
        then="evaluate again under one condition: trueloop eval",
        signs={"outcome.like_with_like": (5.0, 0.0, -4.0)},
    ),
    Cause(
        id="best-checkpoint-by-luck",
        says="The best checkpoint is better than before training by luck alone.",
        then="report the last one, or evaluate the best again on other rows",
        signs={"outcome.best_of_several": (0.0, 3.3, -4.0)},
    ),
    Cause(
        id="not-evaluated",
        says="There is no measure besides the one that trains.",
        then="set guard.every, or evaluate the first and the last checkpoint: trueloop eval",
        signs={"outcome.evaluated": (0.0, 3.2, -4.0), "outcome.trained": (-2.0, 0.0, 0.0)},
    ),
    Cause(
        id="warm-start-fell-short",
        says="The warm start did not give the policy that the run was to begin with.",
        then="trueloop doctor RUN/warm_start; give it more steps",
        signs={"outcome.warm_start_reached": (5.0, 3.5, -4.0)},
    ),
    Cause(
        id="interrupted-by-disk",
        says="The disk was full.",
        then="free space, then: trueloop resume RUN",
        signs={"outcome.disk": (8.0, 0.0, -6.0)},
        record={r"resources\.disk\w*": (1.0, 0.5, 0.0)},
    ),
    Cause(
        id="out-of-memory",
        says="Memory ran out.",
        then="lower batching.budget, engine.cache_tokens or engine.max_rows, then: trueloop resume RUN",
        signs={"outcome.memory": (8.0, 3.1, -6.0), "outcome.disk": (-4.0, 0.0, 0.0)},
        record={r"resources\.memory\w*": (1.0, 0.5, 0.0)},
    ),
    Cause(
        id="stuck",
        says="Nothing moved any more.",
        then="read stuck.log: which task waits for what",
        signs={"outcome.kept_moving": (5.0, 3.2, -3.0)},
        curve="groups/used",
    ),
    Cause(
        id="ended-early",
        says="It ended before its last step.",
        then="trueloop resume RUN",
        signs={
            "outcome.ended_well": (4.0, 3.6, -6.0),
            "outcome.disk": (-4.0, 0.0, 0.0),
            "outcome.memory": (-4.0, 0.0, 0.0),
            "outcome.kept_moving": (-1.0, 0.0, 0.0),
            "outcome.steps_taken_whole": (-1.0, 0.0, 0.0),
        },
    ),
    Cause(
        id="a-check-was-overridden",
        says="It began although a check said that it could not mean anything.",
        then="name the check beside every figure of this run, or mend it and run anew",
        signs={"outcome.nothing_overridden": (0.0, 3.3, -4.0)},
    ),
    Cause(
        id="changed-on-the-way",
        says="It was resumed with other code or other values.",
        then="say so beside its figures, or run it anew",
        signs={"outcome.one_code": (0.0, 3.2, -4.0)},
    ),
)

BY_ID = {cause.id: cause for cause in CAUSES}

HEALTHY, UNCLEAR, NOTHING = "healthy", "unclear", "too-little-to-tell"
"""What is said where no cause is likelier than not: nothing contradicts; something does; too little is on record."""
