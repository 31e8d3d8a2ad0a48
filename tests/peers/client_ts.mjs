// An official TypeScript client as a command: connects, does the steps it is given, prints one JSON line per fact.
//
//   node client_ts.mjs --sdk 1|2 [--mode legacy|auto|2026-07-28] [--transport http|sse]
//                      (--url URL [--header 'Name: value']... | --command PROGRAM [--arg ARG]...) STEP...
//
// A step is a JSON object: {"do":"tools"} {"do":"call","name":"echo","arguments":{}} {"do":"resources"}
// {"do":"read","uri":"…"} {"do":"prompts"} {"do":"prompt","name":"…","arguments":{}}
// Facts: connected, tools, resources, prompts, result, progress, asked, error. Any error ends with exit code 1.

const options = { sdk: '2', mode: 'legacy', transport: 'http', headers: {}, args: [], steps: [] };
const words = process.argv.slice(2);
while (words.length > 0) {
    const word = words.shift();
    switch (word) {
        case '--sdk': options.sdk = words.shift(); break;
        case '--mode': options.mode = words.shift(); break;
        case '--transport': options.transport = words.shift(); break;
        case '--url': options.url = words.shift(); break;
        case '--command': options.command = words.shift(); break;
        case '--arg': options.args.push(words.shift()); break;
        case '--header': {
            const [name, ...value] = words.shift().split(':');
            options.headers[name] = value.join(':').trim();
            break;
        }
        default: options.steps.push(JSON.parse(word));
    }
}

function tell(fact, more) {
    process.stdout.write(`${JSON.stringify({ fact, ...more })}\n`);
}

// The answers a user would give, so that a test can recognise them in the result.
const answers = {
    'sampling/createMessage': () => ({
        role: 'assistant',
        model: 'canned',
        stopReason: 'endTurn',
        content: { type: 'text', text: 'a canned completion' },
    }),
    'elicitation/create': request => ({ action: 'accept', content: filled(request.params.requestedSchema) }),
    'roots/list': () => ({ roots: [{ uri: 'file:///canned', name: 'canned' }] }),
};

// Fills a form with the first value that each field admits.
function filled(schema) {
    const content = {};
    for (const [name, field] of Object.entries(schema?.properties ?? {})) {
        if (field.default !== undefined) content[name] = field.default;
        else if (field.enum) content[name] = field.enum[0];
        else if (field.oneOf) content[name] = field.oneOf[0].const;
        else if (field.type === 'boolean') content[name] = true;
        else if (field.type === 'number' || field.type === 'integer') content[name] = field.minimum ?? 1;
        else if (field.type === 'array') content[name] = [(field.items.enum ?? field.items.anyOf.map(one => one.const))[0]];
        else content[name] = field.format === 'email' ? 'canned@example.com' : 'canned';
    }
    return content;
}

async function sdk1() {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const { SSEClientTransport } = await import('@modelcontextprotocol/sdk/client/sse.js');
    const { StdioClientTransport } = await import('@modelcontextprotocol/sdk/client/stdio.js');
    const schemas = await import('@modelcontextprotocol/sdk/types.js');
    const named = {
        'sampling/createMessage': schemas.CreateMessageRequestSchema,
        'elicitation/create': schemas.ElicitRequestSchema,
        'roots/list': schemas.ListRootsRequestSchema,
    };
    return {
        StreamableHTTPClientTransport, SSEClientTransport, StdioClientTransport,
        client: new Client({ name: 'client_ts', version: '1' }, { capabilities: { sampling: {}, elicitation: {}, roots: {} } }),
        handle: (client, method, answer) => client.setRequestHandler(named[method], answer),
        call: (client, params, more) => client.callTool(params, undefined, more),
        revision: (_, transport) => transport.protocolVersion ?? null,
    };
}

async function sdk2() {
    const { Client, StreamableHTTPClientTransport, SSEClientTransport } = await import('@modelcontextprotocol/client');
    const { StdioClientTransport } = await import('@modelcontextprotocol/client/stdio');
    const mode = ['legacy', 'auto'].includes(options.mode) ? options.mode : { pin: options.mode };
    return {
        StreamableHTTPClientTransport, SSEClientTransport, StdioClientTransport,
        client: new Client(
            { name: 'client_ts', version: '2' },
            { capabilities: { sampling: {}, elicitation: {}, roots: {} }, versionNegotiation: { mode } },
        ),
        handle: (client, method, answer) => client.setRequestHandler(method, answer),
        call: (client, params, more) => client.callTool(params, more),
        revision: client => client.getNegotiatedProtocolVersion() ?? null,
    };
}

function transportOf(sdk) {
    if (options.command) {
        return new sdk.StdioClientTransport({ command: options.command, args: options.args, stderr: 'inherit' });
    }
    const requestInit = { headers: options.headers };
    const Transport = options.transport === 'sse' ? sdk.SSEClientTransport : sdk.StreamableHTTPClientTransport;
    return new Transport(new URL(options.url), { requestInit });
}

async function step(sdk, client, wish) {
    switch (wish.do) {
        case 'tools': return tell('tools', { names: (await client.listTools()).tools.map(tool => tool.name) });
        case 'resources': return tell('resources', { uris: (await client.listResources()).resources.map(one => one.uri) });
        case 'prompts': return tell('prompts', { names: (await client.listPrompts()).prompts.map(one => one.name) });
        case 'read': return tell('result', { of: 'read', result: await client.readResource({ uri: wish.uri }) });
        case 'prompt': {
            const result = await client.getPrompt({ name: wish.name, arguments: wish.arguments ?? {} });
            return tell('result', { of: 'prompt', result });
        }
        case 'call': {
            const onprogress = progress => tell('progress', progress);
            const params = { name: wish.name, arguments: wish.arguments ?? {} };
            return tell('result', { of: 'call', name: wish.name, result: await sdk.call(client, params, wish.progress ? { onprogress } : {}) });
        }
        default: throw new Error(`no such step: ${wish.do}`);
    }
}

let at = 'connect';
try {
    const sdk = options.sdk === '1' ? await sdk1() : await sdk2();
    const { client } = sdk;
    for (const [method, answer] of Object.entries(answers)) {
        sdk.handle(client, method, async request => {
            tell('asked', { method });
            return answer(request);
        });
    }
    const transport = transportOf(sdk);
    await client.connect(transport);
    tell('connected', { revision: sdk.revision(client, transport), server: client.getServerVersion()?.name ?? null });
    for (const wish of options.steps) {
        at = wish.do;
        await step(sdk, client, wish);
    }
    at = 'close';
    if (transport.terminateSession) await transport.terminateSession();
    await client.close();
} catch (error) {
    tell('error', { of: at, code: error.code ?? null, message: String(error.message ?? error) });
    process.exit(1);
}
process.exit(0);
