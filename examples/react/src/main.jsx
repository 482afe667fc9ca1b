import { createRoot } from "react-dom/client";

import { Chat } from "./chat.jsx";
import { loadMessages, openSession } from "./session.js";

const session = await openSession();
const messages = await loadMessages(session);
createRoot(document.getElementById("root")).render(<Chat session={session} initialMessages={messages} />);
