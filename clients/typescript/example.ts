/**
 * A whole sale through the client: register, cart, checkout, lose the answer on purpose, try again,
 * pay, follow. `node clients/typescript/example.ts [URL] [PRODUCT]`; a shop that runs and a product
 * that is on sale are enough, by default those of the demo shop.
 */
import { createHedonifyClient } from './client.ts';

const HOT_PRODUCT = '00000000-0000-7000-8000-000000000001';
const [baseUrl = 'http://127.0.0.1:3000', productId = HOT_PRODUCT] = process.argv.slice(2);

const login: { token?: string } = {};
let loseNextAnswer = false;

const client = createHedonifyClient({
  baseUrl,
  token: () => login.token,
  fetch: async (request) => {
    const response = await fetch(request);
    if (!loseNextAnswer) return response;
    loseNextAnswer = false;
    say(`(the answer ${response.status} is lost on its way)`);
    await response.body?.cancel();
    throw new Error('the connection broke');
  },
});

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The answer, or an error that says what the shop said. */
function answerOf<T>({ data, error }: { readonly data?: T; readonly error?: unknown }): T {
  if (data === undefined) throw new Error(`the shop said: ${JSON.stringify(error)}`);
  return data;
}

const name = `example-${crypto.randomUUID().slice(0, 8)}`;
const account = { email: `${name}@example.test`, password: crypto.randomUUID() };
answerOf(await client.POST('/users/register', { body: { username: name, ...account } }));
const session = answerOf(await client.POST('/users/login', { body: account }));
login.token = session.token;
say(`registered and logged in as ${session.user.username}`);

const cart = answerOf(
  await client.POST('/carts', { body: { items: [{ product_id: productId, quantity: 2 }] } }),
);
say(`cart ${cart.id} has ${cart.items.length} line(s)`);

loseNextAnswer = true;
const checkout = await client.POST('/carts/{id}/checkout', {
  params: { path: { id: cart.id } },
  body: { reference: 'example' },
});
const order = answerOf(checkout);
const replayed = checkout.response.headers.get('idempotency-replayed') === 'true';
say(`order ${order.id} over ${order.total.amount} ${order.total.currency}, replayed: ${replayed}`);

const path = { params: { path: { id: order.id } } };
const { payment } = answerOf(
  await client.POST('/orders/{id}/payment', { ...path, body: { scenario: 'success' } }),
);
say(`payment ${payment.id} is ${payment.status}`);

for (let status = order.status; status === 'WAITING_PAYMENT';) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  ({ status } = answerOf(await client.GET('/orders/{id}', path)));
}
for (const event of answerOf(await client.GET('/orders/{id}/events', path)).items) {
  say(`${event.created_at} ${event.status}`);
}
