"""`turnlog chat` as a person uses it, and as a script does."""

from client_server import Server
from command_process import in_terminal, run
from turnlog_client import Client

CTRL_D = "\x04"


def test_piped_lines_are_sent_one_after_the_other_and_the_answers_are_plain(server: Server) -> None:
    done = run("chat", "--url", server.url, typed='First\ncall calculate {"expression": "6*7"}\n/queue\n/nonsense\n')

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0].startswith("session ses_")
    assert lines[1] == "> First"
    assert lines[2].startswith("Scripted model here")
    assert lines[3:6] == [
        '> call calculate {"expression": "6*7"}',
        '→ calculate {"expression": "6*7"}',
        "← calculate 42",
    ]
    assert lines[-2:] == ["nothing waits", "/nonsense is not a command: /help lists them"]
    assert "\x1b" not in done.stdout


def test_a_session_is_created_with_its_name_and_continued_with_its_past(server: Server) -> None:
    first = run("chat", "--session", "mine", "--url", server.url, typed="Remember this\n")
    second = run("chat", "--session", "mine", TURNLOG_URL=server.url)

    assert second.returncode == 0
    assert second.stdout.splitlines()[:3] == first.stdout.splitlines()[:3]


def test_a_tool_call_is_approved_and_another_denied_with_a_reason(server: Server) -> None:
    lots = 'call draw_lots {"names": ["Ann", "Bo"], "count": 1}'

    done = run("chat", "--agent", "raffle", "--url", server.url, typed=f"{lots}\n/approve\n{lots}\n/deny not today\n")

    assert done.returncode == 0
    assert done.stdout.count("? draw_lots") == 2
    assert done.stdout.count("← draw_lots denied") == 1
    assert "not today" in done.stdout


def test_a_decision_is_asked_for_in_a_terminal(server: Server) -> None:
    with in_terminal("chat", "--agent", "raffle", "--url", server.url) as terminal:
        terminal.wait_for("\n> ")
        terminal.type('call draw_lots {"names": ["Ann", "Bo"], "count": 1}\n')
        assert "/approve or /deny" in terminal.wait_for("\n> ")
        terminal.type("/approve\n")
        assert "← draw_lots" in terminal.wait_for("\n> ")


def test_an_input_that_ends_while_a_decision_is_needed_is_a_failure(server: Server) -> None:
    done = run("chat", "--agent", "raffle", "--url", server.url, typed='call draw_lots {"names": ["A"], "count": 1}\n')

    assert done.returncode == 1
    assert "/approve or /deny" in done.stdout


def test_a_refused_message_is_reported_and_the_chat_continues(server: Server) -> None:
    done = run("chat", "--agent", "nobody", "--url", server.url, typed="Hi\n/help\n")

    assert done.returncode == 1
    assert "not done: There is no agent 'nobody'" in done.stdout
    assert "/approve" in done.stdout


def test_ctrl_c_stops_the_running_turn_and_once_more_leaves(server: Server) -> None:
    with in_terminal("chat", "--model", "fake-5000-20", "--url", server.url) as terminal:
        terminal.wait_for("\n> ")
        terminal.type("Tell me a story\n")
        terminal.wait_for("Scripted model")
        terminal.type("And another\n")
        terminal.wait_for("waits for its turn: And another")
        terminal.type("/queue\n")
        terminal.wait_for(r"1\. And another")
        terminal.interrupt()
        terminal.wait_for("stopping")
        terminal.wait_for("cancelled")
        terminal.wait_for("> And another")
        terminal.wait_for("Scripted model")
        terminal.interrupt()
        terminal.wait_for("cancelled")
        terminal.wait_for("\n> ")
        terminal.interrupt()

        assert terminal.process.wait(60) == 130


def test_in_a_terminal_notes_are_dim_and_ctrl_d_leaves(server: Server) -> None:
    with in_terminal("chat", "--url", server.url) as terminal:
        assert "\x1b[2m" in terminal.wait_for("\n> ")
        terminal.type("Hello\n")
        terminal.wait_for("Scripted model")
        terminal.wait_for("\n> ")
        terminal.type(CTRL_D)

        assert terminal.process.wait(60) == 0


def test_a_chat_survives_a_kill_of_the_server_in_the_middle_of_an_answer() -> None:
    with (
        Server.started() as own,
        in_terminal("chat", "--session", "s", "--model", "fake-5000-50", "--url", own.url) as terminal,
    ):
        terminal.wait_for("\n> ")
        terminal.type("Tell me a story\n")
        terminal.wait_for("Scripted model")
        own.kill()
        terminal.wait_for("the server is away")
        own.restart()
        terminal.wait_for("resumed after event")
        terminal.wait_for("starts again")
        terminal.wait_for("Scripted model")
        terminal.type("/cancel\n")
        terminal.wait_for("cancelled")
        terminal.wait_for("\n> ")
        with Client(own.url) as client:
            (message,) = client.session("s").messages()

    assert message["status"] == "cancelled"
