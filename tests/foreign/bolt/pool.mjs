// Bolt as a stand-in pool. Prints the address that it listens at, and then one JSON line for each accepted request.
//
// SIGNING_SECRET is the delivery secret, ENDPOINT the path of deliveries.
import bolt from "@slack/bolt";

const { App, HTTPReceiver, LogLevel } = bolt;
const tell = (line) => console.log(JSON.stringify(line));

const receiver = new HTTPReceiver({
  signingSecret: process.env.SIGNING_SECRET,
  endpoints: process.env.ENDPOINT,
  logLevel: LogLevel.ERROR,
});
// With a custom `authorize`, so that Bolt does not call Slack.
const app = new App({
  receiver,
  logLevel: LogLevel.ERROR,
  authorize: async () => ({ botToken: "no-token", botId: "B00DEMO", botUserId: "U00DEMOBOT" }),
});
app.event(/.*/, async ({ event }) => tell({ took: "event", text: event.text }));
app.action("approve", async ({ ack, action, body }) => {
  await ack();
  tell({ took: "action", value: action.value, team: body.team.id, trigger: body.trigger_id });
});
app.command("/gate", async ({ ack, command }) => {
  await ack();
  tell({ took: "command", text: command.text, team: command.team_id, trigger: command.trigger_id });
});
app.view("form", async ({ ack, view }) => {
  await ack();
  tell({ took: "view", id: view.id });
});
app.shortcut("anywhere", async ({ ack, shortcut }) => {
  await ack();
  tell({ took: "shortcut", trigger: shortcut.trigger_id });
});
const server = await receiver.start({ port: 0, host: "127.0.0.1" });
tell({ address: `127.0.0.1:${server.address().port}` });
