/** Which sessions this page opened. The application's first message tells a page its session. */

/** By id: "held", or "lost" while only the server still believes in them. */
export const own = new Map();

export function parsed(data) {
  try {
    return Object(JSON.parse(data));
  } catch {
    return {};
  }
}

/** Returns whether `data` is the first message. */
export function greeted(data, holder) {
  const { session } = parsed(data);
  if (typeof session !== "string") return false;
  holder.session = session;
  own.set(session, "held");
  return true;
}

export function lose(holder) {
  if (own.has(holder.session)) own.set(holder.session, "lost");
}
