// Checks of the pages' modules that need no page, run in the browser by pages_test.py: the body of an async function
// that returns the names of the checks that failed, with what was found.
const [tree, { eventParser }, { gatherer }, format, metrics, { linePath }, settings, { follower }] = await Promise.all(
  ["tree", "sse", "answer", "format", "metrics", "chart", "settings", "follow"].map((name) => import(`/web/${name}.js`)),
);
const failed = [];
const same = (name, found, wanted) => {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) failed.push(`${name}: found ${a}, expected ${b}`);
};
const throws = (name, work, text) => {
  try {
    work();
    failed.push(`${name}: nothing was thrown`);
  } catch (error) {
    if (!error.message.includes(text)) failed.push(`${name}: threw "${error.message}"`);
  }
};

// Events come out the same however the stream is cut.
const stream = 'data: {"a":1}\r\n\r\n: ping\n\nevent: x\ndata:two\ndata: lines\n\ndata: é\n\ndata: never ended';
for (const size of [1, 2, 3, 7, 1000]) {
  const events = [];
  const parse = eventParser((data) => events.push(data));
  for (let at = 0; at < stream.length; at += size) parse(stream.slice(at, at + size));
  same(`events in pieces of ${size}`, events, ['{"a":1}', "two\nlines", "é"]);
}

// An answer from chunks, timed by the server where it tells.
let clock = 10;
const message = { content: "", reasoning: "", calls: [], finish: null };
const gathered = gatherer(message, () => clock);
const delta = (fields) => gathered.take({ choices: [{ delta: fields }] });
clock = 10.5;
delta({ role: "assistant", content: null });
delta({ reasoning_content: "hm" });
clock = 12;
delta({ content: "Yes" });
clock = 12.5;
delta({ tool_calls: [{ index: 0, id: "c1", function: { name: "f", arguments: '{"x"' } }] });
delta({ tool_calls: [{ index: 0, function: { arguments: ":1}" } }, { index: 1, id: "c2", function: { name: "g", arguments: "" } }] });
same("measured by the page", gathered.stats(), { exact: false, generated: 4, prompt: 0, cached: 0, first: 0.5, speed: 1.5 });
gathered.take({ choices: [{ delta: {}, finish_reason: "tool_calls" }] });
gathered.take({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 9 }, timings: { predicted_n: 9, predicted_per_second: 33, cache_n: 2 } });
same("told by the server", gathered.stats(), { exact: true, generated: 9, prompt: 7, cached: 2, first: 0.5, speed: 33 });
same("gathered", message, {
  content: "Yes",
  reasoning: "hm",
  calls: [
    { id: "c1", name: "f", arguments: '{"x":1}', result: null },
    { id: "c2", name: "g", arguments: "", result: null },
  ],
  finish: "tool_calls",
  thought: 2,
});
throws("an error in the stream", () => gathered.take({ error: { message: "no memory" } }), "no memory");
delta({ tool_calls: [{ index: 1e9, function: { name: "far" } }] });
same("a hostile index", message.calls.length, 3);

// Versions of messages.
const chat = tree.newConversation("Be brief.", 1);
const question = tree.addMessage(chat, null, "user", "one", 2);
const first = tree.addMessage(chat, question.id, "assistant", "1st", 3);
const more = tree.addMessage(chat, first.id, "user", "two", 4);
const second = tree.addMessage(chat, question.id, "assistant", "2nd", 5);
same("the newest version is shown", tree.path(chat).map((m) => m.content), ["one", "2nd"]);
same("versions", tree.versions(chat, second).map((m) => m.content), ["1st", "2nd"]);
tree.showVersion(chat, first.id);
same("an older version, with what followed", tree.path(chat).map((m) => m.content), ["one", "1st", "two"]);
first.reasoning = "old thought";
const third = tree.addMessage(chat, more.id, "assistant", "", 6);
Object.assign(third, { reasoning: "new thought", calls: [{ id: "", name: "f", arguments: "{}", result: "4" }] });
same("a request", tree.forRequest(chat.system, tree.path(chat)), [
  { role: "system", content: "Be brief." },
  { role: "user", content: "one" },
  { role: "assistant", content: "1st" },
  { role: "user", content: "two" },
  { role: "assistant", content: "", reasoning_content: "new thought", tool_calls: [{ id: "call_0", type: "function", function: { name: "f", arguments: "{}" } }] },
  { role: "tool", tool_call_id: "call_0", content: "4" },
]);
const failedAnswer = tree.newConversation("", 1);
tree.addMessage(failedAnswer, null, "user", "a", 1);
tree.addMessage(failedAnswer, failedAnswer.leaf, "assistant", "", 2).state = "failed";
tree.addMessage(failedAnswer, failedAnswer.leaf, "user", "b", 3);
same("questions around an empty answer are joined", tree.forRequest(" ", tree.path(failedAnswer)), [{ role: "user", content: "a\n\nb" }]);

// Files: what was written is read again, whatever else is refused or made harmless.
const [read] = tree.fromFile(tree.toFile([chat]), 9);
same("a file read again", tree.path(read).map((m) => [m.role, m.content, m.calls?.length]), tree.path(chat).map((m) => [m.role, m.content, m.calls?.length]));
same("its ids are new", Object.keys(read.messages).some((id) => id in chat.messages), false);
throws("no JSON", () => tree.fromFile("{", 0), "not JSON");
throws("another format", () => tree.fromFile("[]", 0), "no conversations");
throws("an unknown role", () => tree.fromFile(`{"format":"${tree.FORMAT}","conversations":[{"messages":{"a":{"role":"root"}}}]}`, 0), "role");
const cycle = `{"format":"${tree.FORMAT}","conversations":[{"title":5,"leaf":"a","messages":{"a":{"role":"user","parent":"b","content":{}},"b":{"role":"assistant","parent":"a","calls":[null,{"name":1}],"stats":7}}}]}`;
const [broken] = tree.fromFile(cycle, 0);
same("a cycle is cut", tree.path(broken).length <= 2 && broken.title, "Imported chat");
same("Markdown", tree.toMarkdown(read).includes("## You\n\ntwo\n"), true);
same("titles", [tree.titleOf("  # Hi\n `there` "), tree.titleOf("x".repeat(60)), tree.titleOf("")], ["Hi there", `${"x".repeat(48)}…`, "New chat"]);

same("speeds", [format.speed(0), format.speed(7.25), format.speed(1234.4)], ["0", "7.3", "1,234"]);
same("times", [format.seconds(0.04), format.seconds(42.4), format.seconds(125)], ["0.0 s", "42 s", "2 min 5 s"]);
same("statistics", format.statistics({ exact: true, generated: 1, speed: 20, first: 2 }), "20.0 tokens/s · 1 token · first after 2.0 s");
const noon = new Date(2026, 5, 15, 12).getTime();
const day = 86400000;
same("periods", [0, 1, 3, 20, 100].map((days) => format.period(noon - days * day, noon)), ["Today", "Yesterday", "Last 7 days", "Last 30 days", "March 2026"]);

// Metrics.
const sums = metrics.parseMetrics('# HELP a b\n# TYPE a counter\na{model="x}\\" y"} 2\na{model="z"} 3.5 1700000000\nb:c +Inf\nbroken\n"d" 1\ne NaN\n');
same("sums of samples", [sums.get("a"), sums.get("b:c"), sums.size], [5.5, Infinity, 2]);
same("the first name that there is", [metrics.metric(sums, "no", "a"), metrics.metric(sums, "no")], [5.5, null]);
const rate = metrics.rateOf();
same("rates", [rate(5, 1), rate(25, 3), rate(1, 4), rate(3, 5), rate(null, 6), rate(9, 7)], [null, 10, null, 2, null, null]);
const kept = metrics.history(2, 4);
for (const value of [1, 2, 3]) kept.add(value);
same("a history that grows", [kept.values, kept.mean(2)], [[null, 1, 2, 3], 2.5]);
for (const value of [null, 5, 6]) kept.add(value);
same("a history that is full", [kept.values, kept.mean(9)], [[3, null, 5, 6], 14 / 3]);
same("tops of scales", [0, 0.3, 1, 1.1, 26, 500].map(metrics.roundUp), [1, 0.4, 1, 2, 40, 600]);
same("a line with a gap", linePath([0, 5, null, 10], 10), "M0.0 160.0L200.0 80.0M600.0 0.0");

// The view, where the browser has not told of anything yet: who scrolls up is left there, and followed again at the end.
const scroller = { scrollHeight: 100, scrollTop: 0, clientHeight: 100, addEventListener() {} };
const grow = (by) => () => {
  scroller.scrollHeight += by;
};
const view = follower(scroller, () => {});
view.during(grow(300)); // the first that does not fit
same("a view that follows", scroller.scrollTop, 400);
scroller.scrollTop = 0;
view.during(grow(300));
same("a view that was scrolled up", scroller.scrollTop, 0);
scroller.scrollTop = scroller.scrollHeight - scroller.clientHeight;
view.during(grow(300));
same("a view at the end again", scroller.scrollTop, 1000);

// Settings.
same("fields of a request", settings.requestFields({ sampling: { temperature: "0.5", top_k: "2.5", top_p: "7", seed: "" }, thinking: "off", tools: '{"name":"f"}', extra: '{"n_keep":1}' }), {
  temperature: 0.5,
  chat_template_kwargs: { enable_thinking: false },
  tools: [{ type: "function", function: { name: "f" } }],
  n_keep: 1,
});
throws("tools without a name", () => settings.parseTools('[{"description":"x"}]'), "name");
throws("fields that are no object", () => settings.parseExtra("[1]"), "object");
return failed;
