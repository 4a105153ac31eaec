/**
 * The proxies between nodes: what they let through, what they swallow, and that they never hang up first.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Links, type Passage, type PassageRule } from '../../chaos/links.ts';

const DROP: Passage = { kind: 'drop' };
const PASS: Passage = { kind: 'pass', afterMs: 0 };
const SELF = process.pid;

const closings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0).reverse()) await close();
});

/** A server that answers each piece with the same in capitals, behind the proxy of `b`; this very process is node `a`. */
async function openPair(): Promise<{ readonly links: Links; readonly heard: string[]; readonly dial: () => Socket }> {
  const heard: string[] = [];
  const accepted: Socket[] = [];
  const server: Server = createServer((socket) => {
    accepted.push(socket);
    socket.setEncoding('utf8').on('error', () => {});
    socket.on('data', (text: string) => {
      heard.push(text);
      socket.write(text.toUpperCase());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const links = await Links.open(['a', 'b'], (id) => (id === 'a' ? SELF : null));
  const address = server.address();
  links.lead('b', `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`);
  closings.push(async () => {
    for (const socket of accepted) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  closings.push(() => links.close());
  const dial = (): Socket => {
    const [host, port] = links.address('b').split(':');
    const socket = connect(Number(port), host).setEncoding('utf8');
    socket.on('error', () => {});
    closings.push(async () => socket.destroy());
    return socket;
  };
  return { links, heard, dial };
}

/** A rule that drops, and the moment at which it first did. */
function swallowing(isCut: (from: string | null) => boolean): { rule: PassageRule; swallowed: Promise<void> } {
  let done = (): void => {};
  const swallowed = new Promise<void>((resolve) => {
    done = resolve;
  });
  const rule: PassageRule = (from) => {
    if (!isCut(from)) return PASS;
    done();
    return DROP;
  };
  return { rule, swallowed };
}

async function answerTo(socket: Socket, text: string): Promise<string> {
  const answered = once(socket, 'data');
  socket.write(text);
  return String((await answered)[0]);
}

describe('a link', () => {
  test('carries both ways while nothing is imposed', async () => {
    const { dial } = await openPair();
    expect(await answerTo(dial(), 'hello')).toBe('HELLO');
  });

  test('that is cut takes whoever dials and says nothing; what was open is broken off when it heals', async () => {
    const { links, heard, dial } = await openPair();
    const before = dial();
    expect(await answerTo(before, 'before')).toBe('BEFORE');
    let swallowed = 0;
    const heal = links.impose(() => {
      swallowed++;
      return DROP;
    });
    const during = dial();
    await once(during, 'connect');
    const words: string[] = [];
    for (const socket of [before, during]) socket.on('data', (text) => words.push(String(text)));
    for (const socket of [before, during]) socket.write('cut');
    await expect.poll(() => swallowed).toBe(2);
    expect([before.destroyed, during.destroyed]).toEqual([false, false]);
    expect(heard).toEqual(['before']);
    const closed = [before, during].map((socket) => once(socket, 'close'));
    heal();
    await Promise.all(closed);
    expect(words).toEqual([]);
    expect(await answerTo(dial(), 'after')).toBe('AFTER');
    expect(heard).toEqual(['before', 'after']);
  });

  test('that is cut one way is heard, and not answered', async () => {
    const { links, heard, dial } = await openPair();
    const socket = dial();
    expect(await answerTo(socket, 'before')).toBe('BEFORE');
    const words: string[] = [];
    socket.on('data', (text) => words.push(String(text)));
    const cut = swallowing((from) => from === 'b');
    const heal = links.impose(cut.rule);
    socket.write('heard');
    await cut.swallowed;
    expect(heard).toEqual(['before', 'heard']);
    const closed = once(socket, 'close');
    heal();
    await closed;
    expect(words).toEqual([]);
  });

  test('knows who dials by the process that holds the socket', async () => {
    const { links, heard, dial } = await openPair();
    const asked: string[] = [];
    links.impose((from, to) => {
      asked.push(`${from} ${to}`);
      return PASS;
    });
    await answerTo(dial(), 'hello');
    expect(asked).toEqual(process.platform === 'linux' ? ['a b', 'b a'] : ['null b', 'b null']);
    expect(heard).toEqual(['hello']);
  });

  test('that is slow keeps the order of what it carries', async () => {
    const { links, heard, dial } = await openPair();
    const delays = [40, 0, 20];
    links.impose((_from, to) => (to === 'b' ? { kind: 'pass', afterMs: delays.shift() ?? 0 } : PASS));
    const socket = dial();
    await once(socket, 'connect');
    for (const piece of ['one ', 'two ', 'three ']) await new Promise((sent) => socket.write(piece, sent));
    await expect.poll(() => heard.join('')).toBe('one two three ');
  });

  test('the worst of several rules decides', async () => {
    const { links, heard, dial } = await openPair();
    const cut = swallowing(() => true);
    const heals = [() => PASS, cut.rule, () => ({ kind: 'pass', afterMs: 1 }) as const].map((rule) =>
      links.impose(rule),
    );
    const socket = dial();
    socket.write('swallowed');
    await cut.swallowed;
    const closed = once(socket, 'close');
    for (const heal of heals) heal();
    await closed;
    expect(heard).toEqual([]);
  });
});
