// A member of a classic group as Node programs are: the HighLevelConsumer of kafka-node 3.0.1.
//
//   node node_member.js ZOOKEEPER GROUP TOPIC      (NODE_PATH leads to kafka-node)
//
// Prints "PARTITION OFFSET VALUE" for each record. Commits and leaves when its standard input ends.
const kafka = require('kafka-node')
const [zookeeper, groupId, topic] = process.argv.slice(2)

const client = new kafka.Client(zookeeper, 'node-member', { sessionTimeout: 6000, spinDelay: 100, retries: 0 })
const consumer = new kafka.HighLevelConsumer(client, [{ topic }], {
  groupId,
  autoCommitIntervalMs: 1000,
  fetchMaxWaitMs: 100,
  rebalanceRetry: { retries: 20, factor: 1, minTimeout: 500, maxTimeout: 1000, randomize: true }
})
consumer.on('message', ({ partition, offset, value }) => process.stdout.write(`${partition} ${offset} ${value}\n`))
consumer.on('error', error => console.error(String(error)))
process.stdin.resume().on('end', () => consumer.close(true, () => process.exit(0)))
