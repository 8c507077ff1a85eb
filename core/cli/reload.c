/* `stageline reload`: has the daemon load its pipeline file anew, and says what is wrong with it as `check` does. */
#include "cli/reload.h"

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/terminal.h"

static const char usage[] =
	"usage: stageline reload [--url URL] [--json]\n"
	"\n"
	"Has the running daemon load its pipeline file and plugins anew. They are checked "
	"completely "
	"first; a\n"
	"file with faults changes nothing. New orders take what was loaded, orders under way "
	"finish "
	"on what they\n"
	"began with.\n"
	"\n"
	"  --url URL   where the daemon is (default: $STAGELINE_URL, else http://127.0.0.1:8000)\n"
	"  --json      prints JSON, for programs\n"
	"\n"
	"Exit status: 0 loaded, or unchanged; 1 failed; 2 wrong usage; 78 something is wrong with "
	"a "
	"file.\n";

static void put(const char *text)
{
	terminal_put(stderr, text ? text : "", SIZE_MAX);
}

void reload_print_fault(const cJSON *fault)
{
	int64_t line = 0, column = 0;

	json_to_int(cJSON_GetObjectItemCaseSensitive(fault, "line"), &line);
	json_to_int(cJSON_GetObjectItemCaseSensitive(fault, "column"), &column);
	put(json_member(fault, "file").p);
	if (line)
		fprintf(stderr, ":%lld:%lld", (long long)line, (long long)column);
	fputs(": error: ", stderr);
	put(json_member(fault, "detail").p);
	fputc('\n', stderr);
}

static int print_refusal(const struct client_answer *a)
{
	const cJSON *faults = cJSON_GetObjectItemCaseSensitive(a->json, "errors"), *fault;
	const char *detail = json_member(a->json, "detail").p;

	cJSON_ArrayForEach (fault, faults) {
		reload_print_fault(fault);
	}
	fputs("stageline: error: ", stderr);
	put(detail ? detail : "the daemon gave no proper answer");
	fprintf(stderr, " (%d)\n", a->status);
	return a->status == 422 ? EXIT_BAD_CONFIG : EXIT_FAILURE;
}

static int print_answer(const struct client_answer *a, bool as_json)
{
	const char *generation = json_member(a->json, "generation").p;
	bool is_same = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(a->json, "unchanged"));

	if (as_json && a->json)
		puts(a->text);
	if (a->status != 200 || !generation)
		return print_refusal(a);
	fputs("generation ", stderr);
	put(generation);
	fputs(is_same ? " is current already\n" : " is current\n", stderr);
	return EXIT_SUCCESS;
}

static int reload(const char *url, bool as_json)
{
	_cleanup_(client_answer_fini) struct client_answer answer = {0};
	_cleanup_(client_freep) struct client *client = NULL;
	struct err e = {0};
	int r = client_create(url, &client, &e);

	if (r < 0) {
		fprintf(stderr, "stageline: error: %s\n", e.code ? err_text(&e) : "no memory");
		return EXIT_USAGE;
	}
	r = client_post_json(client, "/pipeline/reload", STR("{}"), &answer, &e);
	if (r < 0) {
		fprintf(stderr, "stageline: error: %s\n", e.code ? err_text(&e) : strerror(-r));
		return EXIT_FAILURE;
	}
	return print_answer(&answer, as_json);
}

int reload_main(int argc, char **argv)
{
	static const struct option options[] = {{"url", required_argument, NULL, 'u'},
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *url = getenv("STAGELINE_URL");
	bool as_json = false;
	int o, status;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'h')
			return fputs(usage, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
		if (o == '?')
			break;
		as_json |= o == 'j';
		url = o == 'u' ? optarg : url;
	}
	if (o == '?' || optind < argc) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	terminal_init();
	signal(SIGPIPE, SIG_IGN);
	status = reload(url && *url ? url : "http://127.0.0.1:8000", as_json);
	libevent_global_shutdown();
	return fflush(stdout) == 0 ? status : EXIT_FAILURE;
}
