/** What loads heard of one server, compared in the end with what it stored. */

/** Of one load. */
export interface HeardOrders {
  /** Answers 201. */
  readonly accepted: number;
  /** Requests that may have been under way when it ended: stored or not, nobody heard. */
  readonly unheard: number;
}

export class OrderAccount {
  #accepted = 0;
  #unheard = 0;

  add({ accepted, unheard }: HeardOrders): void {
    this.#accepted += accepted;
    this.#unheard += unheard;
  }

  /** @throws Error when an order that was answered is missing, or one is stored that nobody made */
  close(name: string, stored: number): void {
    const most = this.#accepted + this.#unheard;
    if (stored >= this.#accepted && stored <= most) return;
    const heard = `${this.#accepted} were answered and ${this.#unheard} may have been cut off`;
    throw new Error(`${name}: ${stored} orders are stored, ${heard}`);
  }
}
