// Reads {documents, messages} on stdin; prints what the parser finds in each document, and whether each message is what
// the first document says. A message is the name of a schema, and the message.
import { Parser } from "@asyncapi/parser";
import Ajv from "ajv";
import { text } from "node:stream/consumers";

const { documents, messages } = JSON.parse(await text(process.stdin));
const parser = new Parser();
const found = [];
for (const document of documents) {
  const { diagnostics } = await parser.parse(document);
  const serious = diagnostics.filter(({ code }) => code !== "asyncapi-latest-version");
  found.push(serious.map(({ code, path, message }) => `${code} ${path.join("/")}: ${message}`));
}
// A field that the server sends and the document leaves out is a fault, too. A ping may have any.
for (const [name, schema] of Object.entries(documents[0].components.schemas)) {
  if (/^Push(?!P[io]ng)|Envelope$/.test(name)) schema.additionalProperties = false;
}
const ajv = new Ajv({ strict: false, validateFormats: false });
ajv.addSchema(documents[0], "document");
const valid = messages.map(([schema, message]) =>
  ajv.validate({ $ref: `document#/components/schemas/${schema}` }, message),
);
console.log(JSON.stringify({ found, valid }));
