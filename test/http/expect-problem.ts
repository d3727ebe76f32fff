import type { LightMyRequestResponse } from 'fastify';
import { expect } from 'vitest';

import { ERRORS } from '../../src/domain/errors.ts';
import type { ErrorCode } from '../../src/domain/errors.ts';
import { PROBLEM_STATUS } from '../../src/http/problem-status.ts';

/** Asserts everything that is true of every problem; returns its body for what is not. */
export function expectProblem(
  response: LightMyRequestResponse,
  code: ErrorCode,
): Record<string, unknown> {
  const body: Record<string, unknown> = response.json();
  expect(body).toMatchObject({
    type: `/docs/errors#${code}`,
    title: ERRORS[code].title,
    status: PROBLEM_STATUS[code],
    code,
    request_id: response.headers['x-request-id'],
  });
  expect(response.statusCode).toBe(PROBLEM_STATUS[code]);
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(String(body.detail)).not.toMatch(/shard|actor|batch|sql|table|stack/i);
  expect(body.instance).toMatch(/^\/[^?]*$/);
  if ([429, 503].includes(response.statusCode)) {
    expect(response.headers['retry-after']).toMatch(/^[1-9]\d*$/);
  }
  if (response.statusCode === 401) expect(response.headers['www-authenticate']).toMatch(/^Bearer/);
  return body;
}

/** The paths of a `validation` problem, sorted. */
export function expectInvalid(response: LightMyRequestResponse): string[] {
  const body = expectProblem(response, 'validation');
  const errors: unknown = body.errors;
  if (!Array.isArray(errors)) throw new Error('a validation problem without errors');
  return errors.map((error: { path: string }) => error.path).toSorted();
}
