// What the AI SDK gets for the questions of `test_client_programs.py`: node ai_sdk.mjs URL, the questions on stdin.
// Stands beside node_modules when it runs; prints one JSON object.
import { readFileSync } from "node:fs";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const questions = JSON.parse(readFileSync(0, "utf8"));
const provider = createOpenAICompatible({
  name: "local",
  baseURL: process.argv[2],
  apiKey: "none",
  supportsStructuredOutputs: true,
});
const model = provider("tiny");
const ask = (fields) => generateText({ model, maxRetries: 0, ...fields });

const declared = ({ function: { description, parameters } }, execute) =>
  tool({ description, inputSchema: jsonSchema(parameters), ...(execute ? { execute } : {}) });
const weather = declared(questions.weather_tool, async () => ({ temp: 18, sky: "sunny" }));
const forced = declared(questions.forced_tool);
const name = questions.forced_tool.function.name;

const stream = streamText({ model, prompt: questions.plain, maxRetries: 0 });
let streamed = "";
for await (const piece of stream.textStream) streamed += piece;

const loop = await ask({
  prompt: questions.weather,
  tools: { get_weather: weather },
  stopWhen: (isStepCount ?? stepCountIs)(3),
});
const tools = { get_weather: declared(questions.weather_tool), [name]: forced };
const called = await ask({ prompt: "Hello", tools, toolChoice: { type: "tool", toolName: name } });
const required = await ask({ prompt: "Hello", tools, toolChoice: "required" });
const structured = await ask({
  system: questions.system,
  prompt: questions.person,
  output: Output.object({ schema: jsonSchema(questions.schema) }),
});
// What zod sends for records, and the bounds of its integers.
const record = await ask({
  prompt: "Hello",
  output: Output.object({ schema: z.object({ sizes: z.record(z.enum(["a"]), z.int().min(1).max(9)) }) }),
});

console.log(
  JSON.stringify({
    plain: (await ask({ prompt: questions.plain })).text,
    streamed,
    loop: loop.text,
    forced: [called.toolCalls[0].toolName, called.toolCalls[0].input],
    required: required.toolCalls.length > 0,
    structured: structured.output,
    record: Object.keys(record.output.sizes),
  }),
);
