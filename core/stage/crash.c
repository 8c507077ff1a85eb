/* Signals' handlers on a stack of their own; nothing here allocates or takes a lock. */
#include "stage/crash.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/mem.h"
#include "stage/wire.h"

enum { STACK_BYTES = 256 * 1024, FRAMES_OF_HANDLER = 8 };

/* A process has one set of handlers, and they have no argument. */
static struct {
	int fd, statm_fd;
	long page_bytes;
	atomic_bool is_in_call, is_ending;
} site;

unsigned long long crash_memory(void)
{
	char text[128];
	ssize_t n = site.statm_fd < 0 ? 0 : pread(site.statm_fd, text, sizeof text - 1, 0);
	unsigned long long pages = 0;
	int column = 0;

	/* size resident shared text lib data dt */
	for (ssize_t i = 0; i < n && column <= 5; i++)
		if (text[i] == ' ')
			column++;
		else if (column == 5 && text[i] >= '0' && text[i] <= '9')
			pages = pages * 10 + (unsigned long long)(text[i] - '0');
	return pages * (unsigned long long)site.page_bytes;
}

static void say(enum wire_type type, const void *body, size_t n)
{
	char frame[WIRE_HEAD + sizeof(uint64_t) * WIRE_TRACE_MAX];

	wire_head(frame, type, (uint32_t)n);
	memcpy(frame + WIRE_HEAD, body, n);
	if (write(site.fd, frame, WIRE_HEAD + n) < 0)
		return; /* the daemon will see the end itself */
}

/* The instruction that the signal interrupted; 0: not known on this machine. */
static uint64_t interrupted(const void *context)
{
#if defined __x86_64__
	return (uint64_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined __aarch64__
	return ((const ucontext_t *)context)->uc_mcontext.pc;
#else
	(void)context;
	return 0;
#endif
}

/* The frames of the handler itself are left out. */
static void say_trace(uint64_t at)
{
	void *frames[WIRE_TRACE_MAX + FRAMES_OF_HANDLER];
	uint64_t trace[WIRE_TRACE_MAX];
	int n = backtrace(frames, (int)ARRAY_LEN(frames)), first = 0;
	size_t n_trace = 0;

	while (first < n && (uint64_t)(uintptr_t)frames[first] != at)
		first++;
	if (first == n && at)
		trace[n_trace++] = at; /* it jumped to nowhere */
	for (int i = first < n ? first : 2; i < n && n_trace < WIRE_TRACE_MAX; i++)
		trace[n_trace++] = (uint64_t)(uintptr_t)frames[i];
	say(WIRE_TRACE, trace, n_trace * sizeof trace[0]);
}

static void say_crash(int number, const siginfo_t *info, uint64_t at)
{
	struct {
		uint32_t signal;
		int32_t code;
		uint64_t address;
		int32_t system_call;
		uint32_t is_in_call;
		uint64_t memory;
	} body = {.signal = (uint32_t)number,
		.code = info ? info->si_code : 0,
		.is_in_call = atomic_load(&site.is_in_call),
		.memory = crash_memory()};

	if (number == SIGSYS)
		body.system_call = info->si_syscall;
	else if (info && info->si_code > 0)
		body.address = (uint64_t)(uintptr_t)info->si_addr;
	say(WIRE_CRASH, &body, sizeof body);
	say_trace(at);
}

static void on_crash(int number, siginfo_t *info, void *context)
{
	if (!atomic_exchange(&site.is_ending, true))
		say_crash(number, info, interrupted(context));
	_exit(128 + number);
}

static void on_ending(int status, void *arg)
{
	(void)arg;
	if (!atomic_exchange(&site.is_ending, true))
		say_crash(0, NULL, 0);
	_exit(status);
}

void crash_set_in_call(bool is_in_call)
{
	atomic_store_explicit(&site.is_in_call, is_in_call, memory_order_relaxed);
}

void crash_catch(int fd, bool counts_memory)
{
	static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP,
		SIGXCPU, SIGXFSZ, SIGQUIT};
	stack_t stack = {.ss_size = STACK_BYTES};
	struct sigaction action = {
		.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
	void *first[1];

	site.fd = fd;
	site.statm_fd = counts_memory ? open("/proc/self/statm", O_RDONLY | O_CLOEXEC) : -1;
	site.page_bytes = sysconf(_SC_PAGESIZE);
	backtrace(first, 1); /* loads what it needs now */
	stack.ss_sp =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp != MAP_FAILED)
		sigaltstack(&stack, NULL);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sigaction(numbers[i], &action, NULL);
	on_exit(on_ending, NULL);
}
