/* What the commands that talk to a daemon share. */
#include "cli/remote.h"

#include <event2/event.h>
#include <event2/http.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/terminal.h"

static const struct remote_flag_entry {
	const char *name, *argument, *summary;
} flags[N_FLAGS] = {
	[FLAG_REASON] = {"reason", "TEXT", "why; it is kept in the journal"},
	[FLAG_STAGE] = {"stage", "NAME", "those that this stage holds"},
	[FLAG_ERROR] = {"error", "TEXT", "those with exactly this error"},
	[FLAG_ALL] = {"all", NULL, "everything that is on hold"},
	[FLAG_DRY_RUN] = {"dry-run", NULL, "says what would be meant, and changes nothing"},
	[FLAG_RATE] = {"rate", "N", "orders per second (default: as fast as they are decided)"},
	[FLAG_FILE] = {"file", "FILE", "what is sent, as JSON; - reads it from stdin"},
	[FLAG_STATUS] = {"status", "WORD", "those in this status; open: those that have not ended"},
	[FLAG_QUERY] = {"query", "TEXT", "search: an id, an e-mail address or a product"},
	[FLAG_GENERATION] = {"generation", "NAME", "those under way on this generation"},
	[FLAG_PREFIX] = {"prefix", "TEXT", "keys that begin so"},
	[FLAG_LIMIT] = {"limit", "N", "at most so many"},
	[FLAG_CURSOR] = {"cursor", "N", "goes on where an earlier list ended"},
	[FLAG_AFTER] = {"after", "KEY", "goes on where an earlier list ended"},
	[FLAG_DELTA] = {"delta", "N", "adds N, which may be negative"},
	[FLAG_FLOOR] = {"floor", "N", "with --delta: the result may not be below (default 0)"},
	[FLAG_VALUE] = {"value", "JSON", "sets the value; null deletes the key"},
	[FLAG_IDEMPOTENCY_KEY] = {"idempotency-key", "TEXT",
		"places it once, however often the same is sent with this key"},
	[FLAG_AT] = {"at", "SEQ|TIME",
		"as it was after that event, or at that time: 2026-01-31T10:00:00Z"},
	[FLAG_FROM] = {"from", "SEQ|TIME",
		"the moment before, as --at (default: before the last event of --to)"},
	[FLAG_TO] = {"to", "SEQ|TIME", "the moment after (default: now)"},
	[FLAG_LONG] = {"long", NULL, "each event with all that the journal says of it"},
	[FLAG_JSON] = {"json", NULL, "prints JSON, for programs"},
	[FLAG_URL] = {"url", "URL",
		"where the daemon is (default: $STAGELINE_URL, else http://127.0.0.1:8000)"},
	[FLAG_HELP] = {"help", NULL, "prints this"},
};

static const uint32_t common = TAKES(FLAG_JSON) | TAKES(FLAG_URL) | TAKES(FLAG_HELP);

/* --- usage, printed from the tables --- */

static void print_flags(uint32_t takes, FILE *out)
{
	char name[40];

	fputs("\nOptions:\n", out);
	for (size_t i = 0; i < N_FLAGS; i++) {
		if (!(takes & TAKES(i)))
			continue;
		snprintf(name, sizeof name, "--%s%s%s", flags[i].name, flags[i].argument ? " " : "",
			flags[i].argument ? flags[i].argument : "");
		fprintf(out, "  %-15s %s\n", name, flags[i].summary);
	}
}

static void print_command_usage(const struct remote_command *c, FILE *out)
{
	uint32_t takes = common;

	fprintf(out, "usage: stageline %s ACTION [ARGUMENTS] [OPTIONS]\n\n%s.\n\nActions:\n",
		c->name, c->summary);
	for (const struct remote_action *a = c->actions; a->name; a++) {
		int n = fprintf(out, "  %s%s%s", a->name, *a->arguments ? " " : "", a->arguments);

		fprintf(out, "%*s%s\n", n < 23 ? 24 - n : 1, "", a->summary);
		takes |= a->takes;
	}
	print_flags(takes, out);
	fprintf(out, "\n`stageline %s ACTION --help` tells what the action takes.\n", c->name);
}

static void print_action_usage(const struct remote *r, FILE *out)
{
	const struct remote_action *a = r->action;

	fprintf(out, "usage: stageline %s %s%s%s%s [OPTIONS]\n\n%s.\n", r->command->name, a->name,
		*a->arguments ? " " : "", a->arguments, a->needs_reason ? " --reason TEXT" : "",
		a->summary);
	print_flags(a->takes | common, out);
	fputs("\nExit status: 0 done, 1 failed, 2 wrong usage.\n", out);
}

int remote_refuse(const struct remote *r, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fputs("stageline: error: ", stderr);
	terminal_put(stderr, text, sizeof text);
	fprintf(stderr, " (`stageline %s %s --help` tells more)\n", r->command->name,
		r->action->name);
	return EXIT_USAGE;
}

int remote_no_memory(void)
{
	fputs("stageline: error: no memory\n", stderr);
	return EXIT_FAILURE;
}

/* --- what was given --- */

bool remote_id(const struct remote *r, const char *text, char out[ID_TEXT_SIZE])
{
	struct id id;

	if (id_parse(str_of(text), &id) < 0) {
		remote_refuse(r,
			"'%.80s' is no order id; one looks like "
			"01890a5d-ac96-774b-bcce-b302099a8057",
			text);
		return false;
	}
	id_text(&id, out);
	return true;
}

bool remote_int(const struct remote *r, enum remote_flag flag, int64_t *ret)
{
	const char *text = r->flags[flag];
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0')
		return true;
	remote_refuse(r, "--%s '%.80s' is not a whole number", flags[flag].name, text);
	return false;
}

/* The long options of the action; `val` is the flag's number, past what getopt uses itself. */
static void list_options(uint32_t takes, struct option options[N_FLAGS + 1])
{
	size_t n = 0;

	for (int i = 0; i < N_FLAGS; i++)
		if (takes & TAKES(i))
			options[n++] = (struct option){flags[i].name,
				flags[i].argument ? required_argument : no_argument, NULL, 256 + i};
	options[n] = (struct option){0};
}

static bool take_flags(struct remote *r, int argc, char **argv)
{
	struct option options[N_FLAGS + 1];
	int o;

	list_options(r->action->takes | common, options);
	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'h')
			o = 256 + FLAG_HELP;
		if (o < 256)
			return false; /* getopt said why */
		r->flags[o - 256] = optarg ? optarg : "";
	}
	r->arguments = argv + optind;
	r->n_arguments = (size_t)(argc - optind);
	return true;
}

static int check_given(const struct remote *r)
{
	const struct remote_action *a = r->action;

	if (r->n_arguments < a->n_min)
		return remote_refuse(r, "%s needs %s", a->name, a->arguments);
	if (r->n_arguments > a->n_max)
		return remote_refuse(r, "%s does not know what to do with '%.80s'", a->name,
			r->arguments[a->n_max]);
	for (size_t i = 0; i < N_FLAGS; i++)
		if (r->flags[i] && flags[i].argument && !*r->flags[i])
			return remote_refuse(r, "--%s is empty", flags[i].name);
	if (a->needs_reason && !r->flags[FLAG_REASON] && !r->flags[FLAG_DRY_RUN])
		return remote_refuse(
			r, "%s needs --reason TEXT: it is kept in the journal", a->name);
	return EXIT_SUCCESS;
}

/* --- asking --- */

static void print_fault(const cJSON *fault)
{
	const char *pointer = json_member(fault, "pointer").p;
	const char *detail = json_member(fault, "detail").p;

	fputs("  ", stderr);
	terminal_put(stderr, pointer ? pointer : "", SIZE_MAX);
	fputs(": ", stderr);
	terminal_put(stderr, detail ? detail : "", SIZE_MAX);
	fputc('\n', stderr);
}

/* RFC 9457, for people. */
static void print_problem(const struct client_answer *a)
{
	const char *title = json_member(a->json, "title").p;
	const char *detail = json_member(a->json, "detail").p;
	const cJSON *fault;

	if (!title) {
		fprintf(stderr,
			"stageline: error: the answer was %d and says no more; is it "
			"Stageline that answers?\n",
			a->status);
		return;
	}
	fputs("stageline: error: ", stderr);
	terminal_put(stderr, detail ? detail : title, SIZE_MAX);
	fprintf(stderr, " (%d ", a->status);
	terminal_put(stderr, title, SIZE_MAX);
	fputs(")\n", stderr);
	cJSON_ArrayForEach (fault, cJSON_GetObjectItemCaseSensitive(a->json, "errors")) {
		print_fault(fault);
	}
}

void remote_print_json(const struct client_answer *answer)
{
	puts(answer->text);
}

int remote_send(
	struct remote *r, const char *path, const struct buf *body, struct client_answer *ret)
{
	struct err e = {0};
	int result;

	*ret = (struct client_answer){0};
	if (!path || (body && body->failed))
		result = -ENOMEM;
	else if (body)
		result = client_post_json(r->client, path, buf_view(body), ret, &e);
	else
		result = client_get(r->client, path, ret, &e);
	if (result < 0) {
		fprintf(stderr, "stageline: error: %s\n",
			e.code ? err_text(&e) : strerror(-result));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

int remote_judge(const struct remote *r, const struct client_answer *answer)
{
	if (answer->status >= 200 && answer->status < 300 && answer->json)
		return EXIT_SUCCESS;
	print_problem(answer);
	if (r->flags[FLAG_JSON] && answer->json)
		remote_print_json(answer);
	return EXIT_FAILURE;
}

int remote_request(
	struct remote *r, const char *path, const struct buf *body, struct client_answer *ret)
{
	int status = remote_send(r, path, body, ret);

	return status == EXIT_SUCCESS ? remote_judge(r, ret) : status;
}

int remote_ask(struct remote *r, const char *path, const struct buf *body,
	void (*print)(const struct remote *r, const cJSON *answer))
{
	_cleanup_(client_answer_fini) struct client_answer answer;
	int status = remote_request(r, path, body, &answer);

	if (status != EXIT_SUCCESS)
		return status;
	if (r->flags[FLAG_JSON])
		remote_print_json(&answer);
	else
		print(r, answer.json);
	return EXIT_SUCCESS;
}

/* --- paths and bodies --- */

void remote_escaped(struct buf *path, const char *text)
{
	char *escaped = evhttp_uriencode(text, -1, 0);

	if (escaped)
		buf_text(path, escaped);
	else
		path->failed = true;
	free(escaped);
}

void remote_query(const struct remote *r, struct buf *path, const enum remote_flag *list, size_t n)
{
	char separator = '?';

	for (size_t i = 0; i < n; i++) {
		if (!r->flags[list[i]])
			continue;
		buf_fmt(path, "%c%s=", separator,
			list[i] == FLAG_QUERY ? "q" : flags[list[i]].name);
		remote_escaped(path, r->flags[list[i]]);
		separator = '&';
	}
}

void remote_path(struct buf *path, const char *text)
{
	buf_char(path, '/');
	remote_escaped(path, text);
}

void remote_open_body(const struct remote *r, struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "reason");
	json_text(w, r->flags[FLAG_REASON] ? r->flags[FLAG_REASON] : "dry run");
}

/* --- the command --- */

static int run(struct remote *r)
{
	const char *from_env = getenv("STAGELINE_URL");
	const char *url = r->flags[FLAG_URL]	  ? r->flags[FLAG_URL]
			  : from_env && *from_env ? from_env
						  : "http://127.0.0.1:8000";
	struct err e = {0};
	int status;

	status = check_given(r);
	if (status != EXIT_SUCCESS)
		return status;
	if (client_create(url, &r->client, &e) < 0)
		return remote_refuse(r, "%s", e.code ? err_text(&e) : "no memory");
	status = r->action->run(r);
	client_free(r->client);
	libevent_global_shutdown();
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "stageline: error: stdout: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	return status;
}

int remote_main(const struct remote_command *command, int argc, char **argv)
{
	struct remote r = {.command = command, .action = command->actions};
	const char *name = argc > 1 ? argv[1] : "";

	terminal_init();
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		print_command_usage(command, stdout);
		return EXIT_SUCCESS;
	}
	while (r.action->name && strcmp(r.action->name, name) != 0)
		r.action++;
	if (!r.action->name) {
		if (*name)
			fprintf(stderr, "stageline: %s has no action '%s'\n", command->name, name);
		print_command_usage(command, stderr);
		return EXIT_USAGE;
	}
	if (!take_flags(&r, argc - 1, argv + 1)) {
		print_action_usage(&r, stderr);
		return EXIT_USAGE;
	}
	if (r.flags[FLAG_HELP]) {
		print_action_usage(&r, stdout);
		return EXIT_SUCCESS;
	}
	return run(&r);
}
