// Server-sent events, as far as the APIs use them: the data of each event.

// The result takes pieces of the stream, cut anywhere, and gives the data of each complete event to `event`.
export function eventParser(event) {
  let rest = "";
  let data = [];
  return (piece) => {
    rest += piece;
    let start = 0;
    for (;;) {
      const end = rest.indexOf("\n", start);
      if (end < 0) break;
      const line = rest.slice(start, rest[end - 1] === "\r" && end > start ? end - 1 : end);
      start = end + 1;
      if (line === "") {
        if (data.length > 0) event(data.join("\n"));
        data = [];
      } else if (line.startsWith("data:")) {
        data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
    rest = rest.slice(start);
  };
}
