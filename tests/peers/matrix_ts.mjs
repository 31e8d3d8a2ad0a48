// The official TypeScript clients in the matrix: connects to each server of a plan and carries out its operations.
// The plan, the operations and the lines that are printed are those of matrix.py.
//
//   node matrix_ts.mjs 1|2 PLAN
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';

const [generation, plan] = process.argv.slice(2);
// See matrix.py.
const PATIENCE = 20_000;
const TRIES = 10;

const LISTS = {
    tools: ['listTools', 'name'],
    prompts: ['listPrompts', 'name'],
    resources: ['listResources', 'uri'],
    resourceTemplates: ['listResourceTemplates', 'uriTemplate'],
};

const answers = {
    'sampling/createMessage': () => ({
        role: 'assistant',
        model: 'canned',
        stopReason: 'endTurn',
        content: { type: 'text', text: 'a canned completion' },
    }),
    'elicitation/create': ({ params }) =>
        params.mode === 'url'
            ? { action: 'accept' }
            : {
                  action: 'accept',
                  content: Object.fromEntries(Object.keys(params.requestedSchema?.properties ?? {}).map(name => [name, 'canned'])),
              },
    'roots/list': () => ({ roots: [{ uri: 'file:///home/matrix' }] }),
};
const CAPABILITIES = { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } };

async function sdk1() {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const { SSEClientTransport } = await import('@modelcontextprotocol/sdk/client/sse.js');
    const schemas = await import('@modelcontextprotocol/sdk/types.js');
    const named = {
        'sampling/createMessage': schemas.CreateMessageRequestSchema,
        'elicitation/create': schemas.ElicitRequestSchema,
        'roots/list': schemas.ListRootsRequestSchema,
        'notifications/message': schemas.LoggingMessageNotificationSchema,
        'notifications/resources/updated': schemas.ResourceUpdatedNotificationSchema,
        'notifications/tools/list_changed': schemas.ToolListChangedNotificationSchema,
    };
    return {
        StreamableHTTPClientTransport,
        SSEClientTransport,
        client: () => new Client({ name: 'matrix', version: '1' }, { capabilities: CAPABILITIES }),
        answer: (client, method, answer) => client.setRequestHandler(named[method], answer),
        hear: (client, method, hear) => client.setNotificationHandler(named[method], hear),
        call: (client, params, more) => client.callTool(params, undefined, more),
        revision: (_, transport) => transport.protocolVersion ?? null,
    };
}

async function sdk2() {
    const { Client, StreamableHTTPClientTransport, SSEClientTransport } = await import('@modelcontextprotocol/client');
    return {
        StreamableHTTPClientTransport,
        SSEClientTransport,
        client: mode => {
            const versionNegotiation = { mode: mode.startsWith('20') ? { pin: mode } : mode };
            return new Client({ name: 'matrix', version: '2' }, { capabilities: CAPABILITIES, versionNegotiation });
        },
        answer: (client, method, answer) => client.setRequestHandler(method, answer),
        hear: (client, method, hear) => client.setNotificationHandler(method, hear),
        call: (client, params, more) => client.callTool(params, more),
        revision: client => client.getNegotiatedProtocolVersion() ?? null,
    };
}

const sdk = generation === '1' ? await sdk1() : await sdk2();

async function connect(cell) {
    const client = sdk.client(cell.mode);
    const inbox = new EventEmitter();
    for (const [method, answer] of Object.entries(answers)) sdk.answer(client, method, answer);
    sdk.hear(client, 'notifications/resources/updated', ({ params }) => void inbox.emit(params.uri));
    sdk.hear(client, 'notifications/message', ({ params }) => void inbox.emit(params.data?.msg ?? params.data));
    sdk.hear(client, 'notifications/tools/list_changed', () => void inbox.emit('tools'));
    const Transport = cell.transport === 'sse' ? sdk.SSEClientTransport : sdk.StreamableHTTPClientTransport;
    const transport = new Transport(new URL(cell.url));
    await client.connect(transport);
    const revision = sdk.revision(client, transport);
    return {
        client,
        inbox,
        revision,
        async close() {
            if (transport.terminateSession) await transport.terminateSession();
            await client.close();
        },
        async call(name, args, more = {}) {
            // What a session is told once, 2026-07-28 says with each call.
            const meta = revision >= '2026' ? { _meta: { 'io.modelcontextprotocol/logLevel': 'debug' } } : {};
            const result = await sdk.call(client, { name, arguments: args, ...meta }, { timeout: PATIENCE, ...more });
            const text = result.content.map(part => part.text ?? '').join('');
            if (result.isError) throw new Error(text);
            return text;
        },
        // Subscribes in the way of the revision.
        async watching(uri, run) {
            if (revision >= '2026') {
                const listening = await client.listen(uri ? { resourceSubscriptions: [uri] } : { toolsListChanged: true });
                await run();
                await listening.close();
            } else {
                if (uri) await client.subscribeResource({ uri });
                await run();
            }
        },
    };
}

// All that stands where the URI of a resource does, in a result of any kind.
function* urisIn(value) {
    for (const [key, member] of Object.entries(value ?? {})) {
        if (['uri', 'resourceUri'].includes(key) && typeof member === 'string') yield member;
        else if (typeof member === 'object') yield* urisIn(member);
    }
}

const whole = {
    call: ({ client }, params) => sdk.call(client, params, { timeout: PATIENCE }),
    read: ({ client }, params) => client.readResource(params),
    get: ({ client }, params) => client.getPrompt(params),
    complete: ({ client }, params) => client.complete(params),
};

function short(text) {
    return text.length <= 200 ? text : `${text.length} characters`;
}

function filled({ fill = {}, ...args } = {}) {
    return { ...args, ...Object.fromEntries(Object.entries(fill).map(([name, length]) => [name, 'x'.repeat(length)])) };
}

async function untilHeard(peer, tool, what) {
    for (let tried = 0; tried < TRIES; tried++) {
        const heard = once(peer.inbox, what, { signal: AbortSignal.timeout(PATIENCE / TRIES / 2) }).then(
            () => true,
            () => false,
        );
        await peer.call(tool, {});
        if (await heard) return 'heard';
    }
    throw new Error(`said ${TRIES} times and never heard`);
}

const operations = {
    // All four lists; of each item its name, and of each list the number of pages. TypeScript 2.4 pages by itself, and
    // gives all pages as one.
    async lists({ client }) {
        const found = {};
        for (const [listing, [list, key]] of Object.entries(LISTS)) {
            const [names, uris] = [[], []];
            let [pages, cursor] = [0, undefined];
            do {
                const page = await client[list](cursor === undefined ? undefined : { cursor });
                names.push(...page[listing].map(item => item[key]));
                if (key !== 'uri') uris.push(...urisIn(page[listing]));
                cursor = page.nextCursor;
                pages++;
            } while (cursor !== undefined);
            found[listing] = { names, pages, uris };
        }
        return found;
    },
    // The whole result of a request, and what is read at each URI in it. An error is a result too.
    async whole(peer, { of, params }) {
        let result;
        try {
            result = await whole[of](peer, params);
        } catch (error) {
            if (!Number.isInteger(error.code)) throw error;
            return { error: error.code };
        }
        const read = {};
        for (const uri of of === 'read' ? [] : urisIn(result)) read[uri] = await whole.read(peer, { uri });
        return { result, read };
    },
    async list({ client }) {
        return {
            tools: (await client.listTools()).tools.map(tool => tool.name).sort(),
            resources: (await client.listResources()).resources.map(one => one.uri).sort(),
            prompts: (await client.listPrompts()).prompts.map(one => one.name).sort(),
        };
    },
    read: async ({ client }, { uri }) => short((await client.readResource({ uri })).contents[0].text),
    get: async ({ client }, { name, arguments: args }) =>
        short((await client.getPrompt({ name, arguments: args })).messages[0].content.text),
    call: async (peer, { name, arguments: args }) => short(await peer.call(name, filled(args))),
    async reported(peer, { name, arguments: args }) {
        const seen = [];
        const text = await peer.call(name, args, { onprogress: ({ progress }) => seen.push(progress) });
        return { ordered: seen.length >= 1 && seen.every((step, index) => step === index + 1), text: short(text) };
    },
    async progress(peer, { prefix = '' }) {
        const key = randomUUID();
        const seen = [];
        const opened = [];
        const onprogress = ({ progress }) => {
            seen.push(progress);
            opened.push(peer.call(`${prefix}open`, { key }));
        };
        const text = await peer.call(`${prefix}steps`, { key, count: 3 }, { onprogress });
        await Promise.all(opened);
        return { seen, text: text.replace(key, 'KEY') };
    },
    async cancel(peer, { prefix = '' }) {
        const key = randomUUID();
        const stop = new AbortController();
        await new Promise(started => {
            peer.call(`${prefix}steps`, { key }, { onprogress: started, signal: stop.signal }).catch(() => {});
        });
        stop.abort('as asked');
        return peer.call(`${prefix}ended`, { key });
    },
    async logging(peer, { prefix = '' }) {
        // A server that has not heard of levels logs everything.
        if (peer.revision < '2026') await peer.client.setLoggingLevel('debug').catch(() => {});
        return untilHeard(peer, `${prefix}log`, 'a line');
    },
    async updates(peer, { uri = 'test://greeting', name = 'touch', prefix = '' }) {
        await peer.watching(uri, () => untilHeard(peer, `${prefix}${name}`, uri));
        return 'heard';
    },
    async changes(peer, { name = 'grow', prefix = '' }) {
        await peer.watching(null, () => untilHeard(peer, `${prefix}${name}`, 'tools'));
        return 'heard';
    },
    async many(peer, { count }) {
        const names = Array.from({ length: count }, (_, number) => `number ${number}`);
        const found = await Promise.all(names.map(message => peer.call('echo', { message })));
        return found.filter((text, index) => text.replace('Echo: ', '') === names[index]).length;
    },
    // Two clients whose calls have equal ids, since both are new; both calls run before either is let go.
    async twins(_, __, cell) {
        const peers = await Promise.all([connect(cell), connect(cell)]);
        let running = 0;
        const both = new EventEmitter();
        const twin = async peer => {
            const key = randomUUID();
            const opened = [];
            const goOn = async () => {
                if (++running === 2) both.emit('running');
                else await once(both, 'running');
                await peer.call('open', { key });
            };
            const text = await peer.call('steps', { key }, { onprogress: () => opened.push(goOn()) });
            await Promise.all(opened);
            return text.replace(key, 'KEY');
        };
        try {
            return await Promise.all(peers.map(twin));
        } finally {
            await Promise.all(peers.map(peer => peer.close()));
        }
    },
};

function tell(cell, wish, more) {
    process.stdout.write(`${JSON.stringify({ cell: cell.cell, do: wish, ...more })}\n`);
}

function reason(error) {
    return `${error.code ?? ''} ${error.message ?? error}`.trim().slice(0, 500);
}

function within(promise) {
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error('never ended')), PATIENCE)));
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

for (const cell of JSON.parse(plan).cells) {
    let peer;
    try {
        peer = await within(connect(cell));
        tell(cell, 'connect', { got: peer.revision });
    } catch (error) {
        tell(cell, 'connect', { error: reason(error) });
        continue;
    }
    for (const wish of cell.operations) {
        try {
            tell(cell, wish.as ?? wish.do, { got: await within(operations[wish.do](peer, wish, cell)) });
        } catch (error) {
            tell(cell, wish.as ?? wish.do, { error: reason(error) });
        }
    }
    await within(peer.close()).catch(() => {});
}
process.exit(0);
