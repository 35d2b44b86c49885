// Old callers and readers in one process: a JSON command per line in, a JSON answer per line out.
import { createInterface } from "node:readline";
import mongoose from "mongoose";
import { io } from "socket.io-client";

const sockets = new Map();
const { ObjectId } = mongoose.Schema.Types;

const ticketSchema = new mongoose.Schema(
  { name: String, orgId: ObjectId, system: String, features: [String] },
  { timestamps: true },
);
const inSystem = { orgId: ObjectId, role: String, ticket: { type: ObjectId, ref: "TICKET" } };
const userSchema = new mongoose.Schema(
  { name: String, email: String, revolution_counter_1: inSystem, workforce_2: inSystem },
  { timestamps: true },
);

const commands = {
  // connected once `confirm-room-join` has come, which is listened for from "connect" on
  connect: ({ name, url, options }) =>
    new Promise((resolve) => {
      const socket = io(url, { reconnection: false, forceNew: true, ...options });
      sockets.set(name, socket);
      socket.on("connect", () =>
        socket.on("confirm-room-join", (...args) =>
          resolve({ joined: true, args, transport: socket.io.engine.transport.name }),
        ),
      );
      socket.on("connect_error", (error) => resolve({ refused: error.message }));
    }),

  emit: ({ name, event, args = [] }) => sockets.get(name).timeout(30000).emitWithAck(event, ...args),

  // all at once
  emitAll: ({ name, event, each }) =>
    Promise.all(each.map((data) => commands.emit({ name, event, args: [data] }))),

  close: ({ name }) => sockets.get(name).close() && true,

  // a client that hands over nothing but the callback, as the old ones did
  emitBare: ({ name, event }) =>
    new Promise((resolve) => sockets.get(name).emit(event, (answer) => resolve(answer))),

  read: async ({ uri, ticket, user }) => {
    const connection = await mongoose.createConnection(uri, { autoIndex: false }).asPromise();
    try {
      const TICKET = connection.model("TICKET", ticketSchema, "tickets");
      const USER = connection.model("USER", userSchema, "users");
      const found = await TICKET.findById(ticket);
      const where = { system: found.system, features: found.features[0] };
      return {
        document: found,
        raw: await TICKET.collection.findOne({ _id: found._id }),
        listed: (await TICKET.find(where).lean()).map((one) => String(one._id)),
        populated: await USER.findById(user).populate(`${found.system}.ticket`),
      };
    } finally {
      await connection.close();
    }
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...rest } = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command](rest))
    .then((answer) => ({ answer: answer ?? null }))
    .catch((error) => ({ error: String(error.stack) }))
    .then((result) => process.stdout.write(JSON.stringify({ id, ...result }) + "\n"));
}
process.exit(0);
