/** Parses server-sent events from bytes (html.spec.whatwg.org, "Server-sent events"). */
/** Takes a stream's bytes in pieces of any size, and reports each frame as soon as it is whole. */
export class SseParser {
    #listener;
    #decoder = new TextDecoder("utf-8"); // it removes a byte order mark
    #line = "";
    #endsWithCr = false;
    #event = "";
    #data = [];
    #id = "";
    constructor(listener, lastId = "") {
        this.#listener = listener;
        this.#id = lastId;
    }
    /** Reads the next bytes. A character or a line may be split between two calls. */
    push(bytes) {
        let text = this.#decoder.decode(bytes, { stream: true });
        if (text === "")
            return;
        if (this.#endsWithCr && text.startsWith("\n"))
            text = text.slice(1);
        this.#endsWithCr = text.endsWith("\r");
        const lines = (this.#line + text).split(/\r\n|\n|\r/);
        this.#line = lines.pop() ?? "";
        for (const line of lines)
            this.#read(line);
    }
    #read(line) {
        if (line === "") {
            this.#finish();
            return;
        }
        const colon = line.indexOf(":");
        if (colon === 0)
            return; // a comment
        const name = colon < 0 ? line : line.slice(0, colon);
        const rest = colon < 0 ? "" : line.slice(colon + 1);
        this.#set(name, rest.startsWith(" ") ? rest.slice(1) : rest);
    }
    #set(name, value) {
        switch (name) {
            case "event":
                this.#event = value;
                break;
            case "data":
                this.#data.push(value);
                break;
            case "id":
                if (!value.includes("\0"))
                    this.#id = value;
                break;
            case "retry":
                if (/^\d+$/.test(value))
                    this.#listener.onRetry?.(Number(value));
                break;
        }
    }
    #finish() {
        const data = this.#data;
        const event = this.#event || "message";
        this.#data = [];
        this.#event = "";
        if (data.length > 0)
            this.#listener.onFrame({ event, data: data.join("\n"), id: this.#id });
    }
}
