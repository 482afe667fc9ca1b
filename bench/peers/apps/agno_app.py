"""Agno's AgentOS with one agent and a SQLite file: `python agno_app.py FILE`."""

import os
import socket
import sys

import uvicorn
from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.openai import OpenAIChat
from agno.os import AgentOS


def main() -> None:
    agent = Agent(
        id="assistant",
        model=OpenAIChat(id=os.environ["MODEL"]),
        db=SqliteDb(db_file=sys.argv[1]),
        instructions="You are a helpful assistant.",
        add_history_to_context=True,
        telemetry=False,
    )
    app = AgentOS(agents=[agent], telemetry=False).get_app()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
