/** A bare Fastify that sends the body back: what HTTP alone costs here. Prints its URL when ready. */
import Fastify from 'fastify';

const app = Fastify();
app.post('/orders', (request, reply) => reply.code(201).send(request.body));
process.stdout.write(`${await app.listen({ host: '127.0.0.1', port: 0 })}\n`);
