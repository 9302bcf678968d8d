"""Questions: code that asks goes on where it was when the answer comes."""

from __future__ import annotations

import pytest

pytest.importorskip("greenlet", reason="greenlet is not installed (pip install '.[dev]')")
from VertebraLabelingLib.view.questions import Questions


def asking(questions, heard, *texts):
    def action():
        for text in texts:
            heard.append((text, questions.ask(text)))

    return action


def test_an_action_without_a_question_is_done_at_once():
    questions, done = Questions(), []
    questions.run(lambda: done.append(1))
    assert done == [1]
    assert questions.text == ""


def test_each_answer_goes_to_the_code_that_waits_for_it():
    questions, heard = Questions(), []
    questions.run(asking(questions, heard, "First?", "Second?"))
    assert (questions.text, heard) == ("First?", [])
    questions.answer(questions.number, True)
    assert (questions.text, heard) == ("Second?", [("First?", True)])
    questions.answer(questions.number, False)
    assert (questions.text, heard) == ("", [("First?", True), ("Second?", False)])


def test_a_question_that_comes_while_another_is_open_waits_for_its_turn():
    questions, one, other = Questions(), [], []
    questions.run(asking(questions, one, "Replace?"))
    questions.run(asking(questions, other, "And this?"))
    assert questions.text == "Replace?"
    questions.answer(questions.number, False)
    assert (questions.text, one, other) == ("And this?", [("Replace?", False)], [])
    questions.answer(questions.number, True)
    assert other == [("And this?", True)]


def test_the_second_of_two_quick_clicks_answers_no_question_that_comes_after_the_first():
    questions, heard = Questions(), []
    questions.run(asking(questions, heard, "First?", "Second?"))
    shown = questions.number
    questions.answer(shown, True)
    questions.answer(shown, True)
    assert (questions.text, heard) == ("Second?", [("First?", True)])


def test_what_is_raised_after_an_answer_reaches_whoever_answered():
    questions = Questions()

    def action():
        questions.ask("Go on?")
        raise ValueError("broken")

    questions.run(action)
    with pytest.raises(ValueError, match="broken"):
        questions.answer(questions.number, True)
    assert questions.text == ""


def test_an_answer_to_nothing_does_nothing_and_each_change_is_told():
    questions, told = Questions(), []
    questions.changed.connect(lambda: told.append(questions.text))
    questions.answer(questions.number, True)
    questions.run(asking(questions, [], "Sure?"))
    questions.answer(questions.number, True)
    assert told == ["Sure?", ""]


def test_asking_outside_of_an_action_is_a_mistake_of_the_program():
    with pytest.raises(RuntimeError, match="within"):
        Questions().ask("Who is there?")
