import { HttpAgent, runHttpRequest, transformHttpEventStream } from "@ag-ui/client";

/** An AG-UI agent whose thread is a session. `url` is the server's, `agentName` one of `GET /agents`. */
export class TurnlogAgent extends HttpAgent {
  constructor({ url, agentName = "assistant", ...config }) {
    super({ fetch: fetchToEnd, ...config, url: `${url}/ag-ui/${agentName}` });
    this.sessionUrl = `${url}/sessions/${encodeURIComponent(this.threadId)}`;
  }

  /** What `connectAgent()` reads: the stored conversation, then the running turn. */
  connect() {
    const request = () => this.fetch(`${this.sessionUrl}/stream?format=ag-ui`, { headers: this.headers });
    return transformHttpEventStream(runHttpRequest(request));
  }

  /** Runs the agent, and reads the same run again if the connection breaks, up to `attempts` times in a row. */
  async runToEnd(parameters = {}, subscriber = {}, attempts = 10) {
    const runId = parameters.runId ?? crypto.randomUUID();
    for (let left = attempts; ; ) {
      let isOver = false;
      const watching = this.subscribe({
        onEvent: ({ event }) => {
          left = attempts;
          isOver = event.type === "RUN_FINISHED" || event.type === "RUN_ERROR";
        },
      });
      try {
        const result = await this.runAgent({ ...parameters, runId }, subscriber);
        if (isOver || this.abortController.signal.aborted) return result;
      } catch (error) {
        left -= 1;
        const isRefused = error.status && error.status !== 429 && error.status !== 503;
        if (isRefused || !left) throw error;
      } finally {
        watching.unsubscribe();
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  /** Stops the turn. `abortRun()` only stops reading. */
  cancel() {
    const headers = { ...this.headers, "content-type": "application/json" };
    return this.fetch(`${this.sessionUrl}/cancel`, { method: "POST", headers, body: "{}" });
  }
}

/** `fetch`, except that a stream whose connection breaks just ends: the client would throw where nobody can catch it. */
async function fetchToEnd(url, init) {
  const response = await fetch(url, init);
  const reader = response.body?.getReader();
  if (!reader) return response;
  const body = new ReadableStream({
    async pull(stream) {
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      if (done) stream.close();
      else stream.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason).catch(() => {}),
  });
  return new Response(body, response);
}
