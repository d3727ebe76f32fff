/**
 * A rank from 1 to `ranks`, drawn with a probability proportional to 1 / rank (Zipf 1.0).
 *
 * Rejection-inversion (Hörmann and Derflinger 1996): exact, and without the table of 100,000 sums
 * that every one of k6's virtual users would hold for itself.
 *
 * @param random - Uniform in [0, 1).
 */
export function zipfRank(ranks: number, random: () => number): number {
  const low = Math.log(1.5) - 1;
  const high = Math.log(ranks + 0.5);
  const sure = 2 - Math.exp(Math.log(2.5) - 0.5);
  for (;;) {
    const u = high + random() * (low - high);
    const x = Math.exp(u);
    const rank = Math.min(ranks, Math.max(1, Math.round(x)));
    // More than 9 of 10 draws end here.
    if (rank - x <= sure || u >= Math.log(rank + 0.5) - 1 / rank) return rank;
  }
}
