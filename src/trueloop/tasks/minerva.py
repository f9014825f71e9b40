r"""MATH as Minerva was evaluated on it (arXiv:2206.14858): four worked examples, then the problem, for a base model.

Each example ends in "Final Answer: The final answer is $X$. I hope it is correct.", which is the declared format here.
The examples are our own (the paper's are not copied), so figures can be compared with each
other and not with the paper's.  `Score.parts["minerva"]` is the paper's comparison of strings,
"strict" compares values in the same format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from trueloop.records import Message, Problem, Prompt
from trueloop.tasks.base import Demonstration
from trueloop.tasks.maths import MathsSettings, MathsTask, MathTask
from trueloop.verify.maths import Maths

EXAMPLES = (
    (
        r"For which real numbers $x$ is $\frac{\sqrt{x-3}}{\sqrt{7-x}}$ defined? Give your answer as an interval.",
        r"The root in the numerator needs $x-3 \ge 0$, so $x \ge 3$. The root in the denominator must be of a positive "
        r"number, so $7-x > 0$ and $x < 7$. Both hold for $x$ in $[3,7)$.",
        "[3,7)",
    ),
    (
        r"If $\det \mathbf{M} = 3$ and $\det \mathbf{N} = 5,$ what is $\det (\mathbf{M}^2 \mathbf{N})$?",
        r"The determinant of a product is the product of the determinants: "
        r"$\det(\mathbf{M}^2 \mathbf{N}) = (\det \mathbf{M})^2 \det \mathbf{N} = 3^2 \cdot 5 = 45$.",
        "45",
    ),
    (
        "A runner covers 400 meters in 50 seconds. At the same speed, how many minutes does she need for 6 kilometers?",
        r"Her speed is $400/50 = 8$ meters per second. For $6000$ meters she needs $6000/8 = 750$ seconds, which is "
        r"$750/60 = 12.5$ minutes.",
        "12.5",
    ),
    (
        r"The lines $3x + 2y = 8$ and $ax + by = 5$, with $b \neq 0$, are perpendicular. Find $\frac{a}{b}$.",
        r"The first line has slope $-\frac{3}{2}$ and the second $-\frac{a}{b}$. Their product is $-1$, so "
        r"$\frac{3}{2} \cdot \frac{a}{b} = -1$ and $\frac{a}{b} = -\frac{2}{3}$.",
        r"-\frac{2}{3}",
    ),
)


class MinervaMath(MathsSettings):
    """MATH with Minerva's prompt and answer format; rows as those of `math`."""

    kind: Literal["minerva_math"] = "minerva_math"

    def build(self) -> MinervaMathTask:
        """The task over these rows."""
        return MinervaMathTask(self)


class MinervaMathTask(MathsTask):
    """See `MinervaMath`."""

    name = "minerva_math"
    files: ClassVar = MathTask.files
    hub = MathTask.hub

    def __init__(self, settings: MinervaMath) -> None:
        super().__init__(settings)
        self.verifier = Maths(declared="minerva")

    def gold(self, problem: Problem) -> str | None:
        """The sentence that states the answer; None where the row has none."""
        return _worked("", problem.target).strip() if problem.target else None

    def demonstrations(self, split: str) -> Sequence[Demonstration]:
        """None: the prompt has its examples, and the rows' own solutions end in another format."""
        self._require_split(split)
        return ()

    def ask(self, question: str) -> Prompt:
        """The examples and the question, as one text or as turns of a conversation."""
        if self.template == "none":
            shots = [f"{_asked(q)} {_worked(text, answer)}" for q, text, answer in EXAMPLES]
            return "\n\n".join([*shots, _asked(question)])
        turns = [m for q, text, answer in EXAMPLES for m in _turns(q, _worked(text, answer))]
        return (*turns, Message(role="user", content=f"Problem:\n{question}"))


def _asked(question: str) -> str:
    return f"Problem:\n{question}\n\nSolution:"


def _worked(text: str, answer: str) -> str:
    return f"{text}\nFinal Answer: The final answer is ${answer}$. I hope it is correct."


def _turns(question: str, solution: str) -> tuple[Message, Message]:
    return Message(role="user", content=f"Problem:\n{question}"), Message(role="assistant", content=solution)
