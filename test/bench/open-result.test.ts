import { expect, test } from 'vitest';
import { parseRequest, summariseOpen } from '../../bench/open-result.ts';
import type { OpenRequest } from '../../bench/open-result.ts';

/** As vegeta 12.13.0 printed them. */
const ACCEPTED =
  '1795417840324763392,201,13046220,93,402,,,,51,POST,http://127.0.0.1:4000/orders,Q29ubmVjdGlvbg==';
const REFUSED =
  '1795417840324763392,409,900000,93,402,409 Conflict,,,7,POST,http://127.0.0.1:4000/orders,Q2A=';
const UNANSWERED =
  '1795417840324763392,0,15000000000,0,0,"Post ""http://127.0.0.1:4000/orders"": context deadline exceeded, really",,,9,POST,http://127.0.0.1:4000/orders,';
const RAN_OUT = '1795417840324763392,0,1000,0,0,no targets to attack,,,40,,,';

test("a line of vegeta's results gives number, time, latency and status", () => {
  expect(parseRequest(ACCEPTED)).toEqual({
    seq: 51,
    sentAt: expect.closeTo(1_795_417_840_324.763, 2),
    latencyMs: 13.04622,
    status: 201,
  });
  expect(parseRequest(REFUSED)).toMatchObject({ seq: 7, status: 409, latencyMs: 0.9 });
});

test('a request without an answer has status 0, whatever its error says', () => {
  expect(parseRequest(UNANSWERED)).toMatchObject({ seq: 9, status: 0, latencyMs: 15_000 });
});

test('what vegeta had no target for was not sent', () => {
  expect(parseRequest(RAN_OUT)).toBeUndefined();
});

test('anything else is refused', () => {
  expect(() => parseRequest('')).toThrow('not a line');
  expect(() => parseRequest(ACCEPTED.replace('201', 'x'))).toThrow('not a line');
});

/** Ten a second, each 5 ms late by nobody's fault. */
function onTime(count: number): OpenRequest[] {
  return Array.from({ length: count }, (_, seq) => ({
    seq,
    sentAt: 1000 + seq * 100,
    latencyMs: 5,
    status: 201,
  }));
}

test('latencies of a load that keeps its beat are those that were measured', () => {
  const result = summariseOpen(onTime(20), 10);
  expect(result).toMatchObject({ offered: 10, requests: 20, statuses: { 201: 20 }, others: null });
  expect(result.goodput).toBeCloseTo(10);
  expect(result.accepted?.p50).toBeCloseTo(5);
  expect(result.late.p999).toBeCloseTo(0);
});

test('a stall of the generator is counted as a wait of everybody who was due meanwhile', () => {
  const stalled = onTime(20).map((request) => ({
    ...request,
    // Nothing is sent for half a second; then five at once, each answered in no time.
    sentAt: Math.max(request.sentAt, request.seq < 5 ? 0 : 2000),
  }));
  const result = summariseOpen(stalled, 10);
  expect(result.acceptedFromSending?.p999).toBeCloseTo(5);
  expect(result.accepted?.p999).toBeGreaterThan(400);
  expect(result.late.p90).toBeGreaterThan(200);
});

test('goodput counts what was accepted within the time of the load, and nothing else', () => {
  const requests = onTime(20).map((request) => {
    if (request.seq % 2 === 0) return { ...request, status: 503 };
    return request.seq > 15 ? { ...request, latencyMs: 60_000 } : request;
  });
  const result = summariseOpen(requests, 10);
  expect(result.goodput).toBeCloseTo(4);
  expect(result.statuses).toEqual({ 201: 10, 503: 10 });
  expect(result.others?.p50).toBeCloseTo(5);
});
