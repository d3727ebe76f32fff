/** The operator's page: wires session, stream, views and the address. Imported by nobody. */
import { ActionsView } from './actions-view.ts';
import { ActorView } from './actor-view.ts';
import { ActorsView } from './actors-view.ts';
import { AdminClient } from './admin-client.ts';
import type { SessionJson } from './admin-api.ts';
import { BatchesView } from './batches-view.ts';
import { ConnectionBar } from './connection-bar.ts';
import { DeedDialog } from './deed-dialog.ts';
import type { Question } from './deed-dialog.ts';
import { LiveFeed } from './live-feed.ts';
import type { Connection, FeedQuery } from './live-feed.ts';
import { ACTORS_SHOWN, LiveState } from './live-state.ts';
import { LoginView } from './login-view.ts';
import { parseRoute } from './page-route.ts';
import type { PageRoute } from './page-route.ts';
import { SessionStore } from './session.ts';
import { ShardsView } from './shards-view.ts';
import { Shell } from './shell.ts';
import { SummaryStrip } from './summary-strip.ts';
import type { View } from './view.ts';

/** Of the countdown to the next try. */
const TICK_MS = 500;
/** What no stream needs while another view is shown: enough for the figures above it. */
const ACTORS_ASKED_ELSEWHERE = 10;

class AdminPage {
  readonly #sessions = new SessionStore(sessionStorage);
  readonly #client = new AdminClient(
    () => this.#session?.token ?? null,
    () => this.#endSession(EXPIRED),
  );
  readonly #connection = new ConnectionBar(() => this.#feed.retryNow());
  readonly #summary = new SummaryStrip();
  readonly #dialog = new DeedDialog({
    client: this.#client,
    onDone: (question) => this.#whenDone(question),
    onFocusLost: () => this.#focusHeading(),
  });
  readonly #shell = new Shell({
    light: this.#connection.light,
    banner: this.#connection.banner,
    summary: this.#summary.root,
    dialog: this.#dialog.root,
    onLogOut: () => this.#endSession(''),
  });
  readonly #feed = new LiveFeed({
    open: (query, signal) => this.#client.events(query, signal),
    onEvent: (event, query) => {
      this.#state.apply(event, query.productId);
      this.#connection.beat(this.#state.at);
      this.#update();
    },
    onConnection: (connection) => this.#whenConnection(connection),
  });
  #session: SessionJson | null = this.#sessions.read();
  #state = new LiveState();
  #view: View | null = null;

  start(): void {
    document.body.append(this.#shell.root);
    addEventListener('hashchange', () => {
      // What it asks was asked from the view that is left.
      this.#dialog.root.close();
      this.#open('heading');
    });
    addEventListener('online', () => this.#feed.retryNow());
    document.addEventListener('visibilitychange', () => this.#watchVisibility());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () =>
      this.#view?.recolor?.(),
    );
    setInterval(() => this.#connection.tick(), TICK_MS);
    this.#watchVisibility();
    if (this.#session === null) this.#endSession('');
    else this.#open('nothing');
  }

  /** `focus`: what took one here is gone, so that the focus would be nowhere. */
  #open(focus: 'heading' | 'nothing'): void {
    const session = this.#session;
    if (session === null) return;
    const route = parseRoute(location.hash);
    this.#view?.close?.();
    const view = this.#viewOf(route);
    this.#view = view;
    this.#shell.setSession(session);
    this.#shell.setView(view.root, route);
    this.#update();
    // Who came by the keyboard goes on from the view's heading, not from the head of the page.
    if (focus === 'heading') this.#focusHeading();
    scrollTo(0, 0);
    this.#feed.follow(queryOf(route));
  }

  #focusHeading(): void {
    const heading = this.#view?.root.querySelector<HTMLElement>('#view-title');
    heading?.focus({ preventScroll: true });
  }

  #viewOf(route: PageRoute): View {
    const onAsk = (question: Question) => this.#dialog.ask(question);
    switch (route.view) {
      case 'actors':
        return new ActorsView(route.sort);
      case 'actor':
        return new ActorView({ client: this.#client, productId: route.productId, onAsk });
      case 'shards':
        return new ShardsView(onAsk);
      case 'batches':
        return new BatchesView(this.#client);
      case 'actions':
        return new ActionsView({ client: this.#client, onAsk });
    }
  }

  #update(): void {
    this.#summary.update(this.#state);
    if (this.#view === null) return;
    this.#view.update(this.#state);
    document.title = `${this.#view.title} – Hedonify`;
  }

  #whenConnection(connection: Connection): void {
    this.#connection.set(connection);
    this.#shell.setStale(this.#connection.stale);
    if (connection.phase !== 'refused') return;
    this.#endSession(connection.code === 'forbidden' ? FORBIDDEN : EXPIRED);
  }

  #whenDone(question: Question): void {
    if (this.#session === null) return;
    this.#shell.notice(question.done);
    void this.#view?.reload?.();
  }

  /** What was shown is dropped: the next one to log in may be somebody else. */
  #endSession(notice: string): void {
    this.#feed.close();
    this.#dialog.root.close();
    this.#sessions.clear();
    this.#session = null;
    this.#state = new LiveState();
    this.#view?.close?.();
    this.#view = null;
    const login = new LoginView({
      client: this.#client,
      notice,
      onSession: (session) => {
        this.#session = session;
        this.#sessions.write(session);
        this.#open('heading');
      },
    });
    this.#connection.forget();
    this.#shell.setStale(false);
    this.#shell.setSession(null);
    this.#shell.setView(login.root, null);
    document.title = 'Log in – Hedonify';
    login.focus();
  }

  #watchVisibility(): void {
    if (document.visibilityState === 'hidden') this.#feed.pause();
    else this.#feed.resume();
  }
}

const EXPIRED = 'Your session has ended. Log in again.';
const FORBIDDEN = 'This account is not an admin any more.';

function queryOf(route: PageRoute): FeedQuery {
  switch (route.view) {
    case 'actors':
      return { sort: route.sort, limit: ACTORS_SHOWN, productId: null };
    case 'actor':
      return { sort: 'rate', limit: ACTORS_ASKED_ELSEWHERE, productId: route.productId };
    default:
      return { sort: 'rate', limit: ACTORS_ASKED_ELSEWHERE, productId: null };
  }
}

new AdminPage().start();
