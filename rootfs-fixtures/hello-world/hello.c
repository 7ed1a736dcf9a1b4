/* hello.c: the first container that a new user runs. Says what just happened and what to try next. */
#include <stdio.h>
#include <unistd.h>

static const char story[] =
	"\n"
	"Hello from minirun!\n"
	"\n"
	"A process in a container of its own printed this. What just happened, step by step:\n"
	"\n"
	" 1. The command line read your words and called the engine, a library in the same process. There is no daemon.\n"
	" 2. The engine found the image hello-world, wrote the container down and leased it an address on the bridge.\n"
	" 3. It compiled all of that into a plan: each mount, limit and capability is one operation in a list.\n"
	" 4. It handed the plan to a monitor, a small static program that owns this container until the end.\n"
	" 5. The monitor asked the kernel for a new process in new namespaces, and that process walked the plan:\n"
	"    the last operation executed /hello. Here it has the process id %ld and the host name %s.\n"
	" 6. The monitor read what /hello wrote, logged it and passed it on to your terminal: you read this.\n"
	"\n"
	"What to try next:\n"
	"\n"
	"    minirun run --explain --rm hello-world      the plan of this container, operation by operation\n"
	"    minirun run --trace --rm hello-world        the same list, with the time that each took\n"
	"    minirun run -it --rm busybox sh             a shell inside; look around with ps, mount, ip addr\n"
	"    minirun run -d --name web -p 8080:80 -v \"$PWD:/www:ro\" busybox httpd -f -h /www\n"
	"    curl http://127.0.0.1:8080/README.md        ... if there is one: this directory is on the web; minirun rm -f web\n"
	"\n";

int main(void)
{
	char name[65] = "unknown";

	if (gethostname(name, sizeof name - 1) != 0)
		name[0] = '?';
	return printf(story, (long)getpid(), name) < 0 || fflush(stdout) != 0;
}
