import http.client, json, sys, time, urllib.error, urllib.request

url, steps, last, done = sys.argv[1].rstrip("/") + "/stream", {}, "0", False
while not done:  # resume a stream that ends without `done`
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"last-event-id": last})) as stream:
            done, frame = stream.status == 204, {}
            for line in stream:
                name, _, frame[name] = line.decode().rstrip("\n").partition(": ")
                if name: continue  # an empty line ends a frame
                event, data = frame.get("event", ""), json.loads(frame.get("data", "{}"))
                if data.get("origin") == "outside": event = ""  # events of other producers are not part of an answer
                key = (data.get("message_id"), data.get("step"))
                if event == "message.start": steps[key] = ""  # the step starts, or starts again
                if event == "message.delta": steps[key] = steps.get(key, "") + data["text"]
                last, done, frame = frame.get("id", last), event == "done", {}
    except urllib.error.HTTPError as refusal: sys.exit(f"{url}: {refusal}")
    except (OSError, http.client.HTTPException): time.sleep(0.5)  # the server is away: resume later
print("\n\n".join(filter(None, steps.values())))
