import type { LiveState } from './live-state.ts';

/** What stands below the head of the page; there is one at a time. */
export interface View {
  readonly root: HTMLElement;
  /** Of the window, and of the view's heading. */
  readonly title: string;
  /** With each event, and once when it is shown. */
  update(state: LiveState): void;
  /** After something was done. */
  reload?(): Promise<void>;
  /** When the browser changes between dark and light. */
  recolor?(): void;
  /** It is shown no more. */
  close?(): void;
}
