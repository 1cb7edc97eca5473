// Handles every alert once: node subscribe.js BROKERS FILE [TOPIC]; FILE remembers what was handled.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { decompress } from "fzstd";
import kafkajs from "kafkajs";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;

// Gradewatch compresses with zstd, which kafkajs leaves to others.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: () => Promise.reject(new Error("this program only reads")),
  decompress: async (bytes) => Buffer.from(decompress(bytes)),
});

const [brokers, handledFile, topic = "grade-alerts"] = process.argv.slice(2);
const handled = new Set(existsSync(handledFile) ? readFileSync(handledFile, "utf8").split("\n") : []);

const kafka = new Kafka({ clientId: "advising-tool", brokers: brokers.split(","), logLevel: logLevel.WARN });
const consumer = kafka.consumer({ groupId: "advising-tool-js" }); // every service has a name of its own

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  // kafkajs commits an offset after eachMessage has returned for it, never before.
  eachMessage: async ({ message }) => {
    const id = message.headers.ce_id.toString();
    if (handled.has(id)) return;
    console.log(message.value.toString()); // the effect: an e-mail, a task, a row
    // After it: a crash between the two repeats the effect. Where that must not be, write both in one
    // transaction of a database.
    appendFileSync(handledFile, `${id}\n`);
    handled.add(id);
  },
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => consumer.disconnect().then(() => process.exit(0)));
}
