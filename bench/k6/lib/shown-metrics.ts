/**
 * Imported by k6 and by Node: metrics whose crossed thresholds a benchmark shows and does not fail
 * by, since the machine has its share in them. Every other threshold is one of correctness.
 */
export const SHOWN_METRICS = [
  'accepted_ms',
  'declined_ms',
  'dropped_iterations',
  'flood_accepted',
  'http_req_duration',
  'recovered_shed',
] as const;
