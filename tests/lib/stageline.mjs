/* Runs the real program for a test: own data folder, own port, stopped or killed and started again at will.
 *
 * From the environment: STAGELINE_BIN, STAGELINE_PLUGINS (folders, ":" between), STAGELINE_WWW,
 * STAGELINE_PIPELINE; without them, what a build in ./build made. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const top = resolve(import.meta.dirname, '../..');
const READY_WITHIN_MS = 15_000;
const STOPPED_WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 25;

/* Starts one. Options: pipeline, config (files), data, port, args (more flags), env. */
export async function startStageline(options = {}) {
	const server = new Stageline({
		pipeline: process.env.STAGELINE_PIPELINE ?? join(top, 'config/orders.yaml'),
		...options,
		data: options.data ?? (await mkdtemp(join(tmpdir(), 'stageline-'))),
		isDataOurs: options.data === undefined,
		port: options.port ?? (await freePort()),
	});
	await server.start();
	return server;
}

class Stageline {
	#options;
	#child = null;
	log = ''; /* what it wrote to stderr, all starts together */

	constructor(options) {
		this.#options = options;
		this.port = options.port;
		this.data = options.data;
		this.url = `http://127.0.0.1:${options.port}`;
		this.ws = `ws://127.0.0.1:${options.port}`;
	}

	get pid() {
		return this.#child?.pid;
	}

	async start() {
		const bin = process.env.STAGELINE_BIN ?? join(top, 'build/core/stageline');
		const child = spawn(bin, this.#arguments(), {
			stdio: ['ignore', 'inherit', 'pipe'],
			env: { ...process.env, ...this.#options.env },
		});
		this.#child = child;
		child.stderr.setEncoding('utf8').on('data', (text) => (this.log += text));
		await once(child, 'spawn'); /* rejects when there is no such program */
		await this.#ready(child);
	}

	#arguments() {
		const { pipeline, config, args = [] } = this.#options;
		const plugins = process.env.STAGELINE_PLUGINS ?? join(top, 'build/plugins');
		return [
			'serve',
			...(config ? ['--config', config] : []),
			...['--pipeline', pipeline, '--data', this.data],
			...['--listen', `127.0.0.1:${this.port}`],
			...['--www', process.env.STAGELINE_WWW ?? join(top, 'www')],
			...plugins.split(':').flatMap((folder) => ['--plugins', folder]),
			...args,
		];
	}

	async #ready(child) {
		const until = Date.now() + READY_WITHIN_MS;
		while (Date.now() < until) {
			if (child.exitCode !== null || child.signalCode !== null)
				throw new Error(`stageline ended (${child.exitCode ?? child.signalCode}):\n${this.log}`);
			if (await answers(`${this.url}/readyz`))
				return;
			await pause();
		}
		await this.kill();
		throw new Error(`stageline was not ready in time:\n${this.log}`);
	}

	/* SIGTERM; returns the exit code, throws when it does not end. */
	async stop() {
		const child = this.#child;
		if (!child || child.exitCode !== null || child.signalCode !== null)
			return child?.exitCode ?? null;
		const ended = once(child, 'exit', { signal: AbortSignal.timeout(STOPPED_WITHIN_MS) });
		child.kill('SIGTERM');
		try {
			const [code] = await ended;
			return code;
		} catch {
			await this.kill();
			throw new Error(`stageline did not stop:\n${this.log}`);
		}
	}

	/* kill -9 */
	async kill() {
		const child = this.#child;
		if (!child || child.exitCode !== null || child.signalCode !== null)
			return;
		const ended = once(child, 'exit');
		child.kill('SIGKILL');
		await ended;
	}

	/* On the same data and port. */
	async restart() {
		await this.stop();
		await this.start();
	}

	/* The end of the test: stops it and removes its data. */
	async end() {
		try {
			await this.stop();
		} finally {
			if (this.#options.isDataOurs)
				await rm(this.data, { recursive: true, force: true });
		}
	}

	async get(path) {
		return answer(await fetch(this.url + path));
	}

	async post(path, body, headers = {}) {
		return answer(
			await fetch(this.url + path, {
				method: 'POST',
				headers: { 'Content-Type': 'application/json', ...headers },
				body: JSON.stringify(body),
			}),
		);
	}

	/* Places an order of { product id: quantity } from the catalogue; returns it. */
	async order(quantities, email = 'ada@example.com') {
		const { products } = (await this.get('/products')).body;
		const items = Object.entries(quantities).map(([id, quantity]) => {
			const { name, price } = products.find((product) => product.id === id);
			return { product_id: id, name, quantity, price };
		});
		const cents = items.reduce((sum, i) => sum + Math.round(i.price * 100) * i.quantity, 0);
		const order = { customer_email: email, items, total_amount: cents / 100 };
		const { status, body } = await this.post('/orders', order);
		if (status !== 200)
			throw new Error(`order refused: ${status} ${JSON.stringify(body)}`);
		return body;
	}

	/* Waits until the order has one of the statuses; returns { order, events }. */
	async untilStatus(id, statuses, withinMs = 20_000) {
		const wanted = [statuses].flat();
		const until = Date.now() + withinMs;
		let last;
		while (Date.now() < until) {
			last = (await this.get(`/orders/${id}`)).body;
			if (wanted.includes(last.order?.status))
				return last;
			await pause();
		}
		throw new Error(`order ${id} is ${last?.order?.status}, not ${wanted.join(' or ')}`);
	}
}

async function answer(response) {
	const text = await response.text();
	let body;
	try {
		body = JSON.parse(text);
	} catch {
		body = text;
	}
	return { status: response.status, headers: response.headers, body };
}

async function answers(url) {
	try {
		const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
		await response.arrayBuffer();
		return response.ok;
	} catch {
		return false;
	}
}

const pause = () => new Promise((done) => setTimeout(done, LOOK_EVERY_MS));

/* A port that was free a moment ago. */
async function freePort() {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	server.close();
	await once(server, 'close');
	return port;
}
