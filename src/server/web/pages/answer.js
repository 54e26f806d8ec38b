// The pieces of a streamed answer (chunks of OpenAI's chat API), gathered into a message.

// `now`: seconds. The result: { take(chunk), stats() }. `message` has content, reasoning, calls and finish set.
export function gatherer(message, now) {
  const began = now();
  let first = 0;
  let last = 0;
  let pieces = 0;
  let usage = null;
  let timings = null;

  function takeCalls(deltas) {
    for (const delta of deltas) {
      const index = Number.isInteger(delta.index) && delta.index >= 0 && delta.index < 1000 ? delta.index : message.calls.length;
      while (message.calls.length <= index) message.calls.push({ id: "", name: "", arguments: "", result: null });
      const call = message.calls[index];
      if (delta.id) call.id = String(delta.id);
      if (delta.function?.name) call.name += delta.function.name;
      if (delta.function?.arguments) call.arguments += delta.function.arguments;
    }
  }

  function take(chunk) {
    if (chunk.error) throw Object.assign(new Error(chunk.error.message || "The server reported an error."), { told: true });
    if (chunk.usage) usage = chunk.usage;
    if (chunk.timings) timings = chunk.timings;
    const choice = chunk.choices?.[0];
    if (!choice) return;
    const delta = choice.delta || {};
    const reasoning = delta.reasoning_content ?? delta.reasoning;
    if (reasoning || delta.content || delta.tool_calls) {
      last = now();
      if (!first) first = last;
      pieces += 1;
    }
    if (reasoning) message.reasoning += reasoning;
    if (delta.content) {
      if (message.reasoning && !message.thought) message.thought = now() - began;
      message.content += delta.content;
    }
    if (Array.isArray(delta.tool_calls)) takeCalls(delta.tool_calls);
    if (choice.finish_reason) message.finish = choice.finish_reason;
  }

  // What was measured by the server where it says so, else by us: pieces are about tokens.
  function stats() {
    const generated = timings?.predicted_n ?? usage?.completion_tokens ?? pieces;
    const span = last - first;
    const measured = span > 0 && generated > 1 ? (generated - 1) / span : 0;
    return {
      exact: Boolean(timings?.predicted_per_second || usage),
      generated,
      prompt: usage?.prompt_tokens ?? (timings ? (timings.prompt_n ?? 0) + (timings.cache_n ?? 0) : 0),
      cached: timings?.cache_n ?? usage?.prompt_tokens_details?.cached_tokens ?? 0,
      first: first ? first - began : 0,
      speed: timings?.predicted_per_second ?? measured,
    };
  }
  return { take, stats };
}
