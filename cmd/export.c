/* export: offers a part of the caller's namespace to other nodes, until it ends. What they see is a
 * copy of the namespace as it is now: later binds are not seen. */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct cmd cmd = {
    "export", "[-r] [-n NAME] [-u USER]... DIRECTORY [COMMAND [ARG...]]",
    "offers a directory of this namespace to other nodes, until it is interrupted or COMMAND ends"};

static volatile sig_atomic_t stopped;

static void on_signal(int signo)
{
    stopped = signo;
}

static void catch_signals(void)
{
    static const int list[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: pause returns */
    for (size_t i = 0; i < CG_COUNT(list); i++) {
        sigaction(list[i], &action, NULL);
    }
}

/* COMMAND finds the tree's name in $EXPORT. Its end is ours. */
static int run(char **argv, const char *tree)
{
    pid_t pid = fork();
    if (pid < 0) {
        cmd_fail("%s: %s", argv[0], strerror(errno));
    }
    if (pid == 0) {
        setenv("EXPORT", tree, 1);
        execvp(argv[0], argv);
        int why = errno;
        fprintf(stderr, "export: %s: %s\n", argv[0], strerror(why));
        _exit(why == ENOENT ? 127 : 126);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (stopped) {
            kill(pid, stopped);
        }
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    char path[PATH_MAX], name[128], tree[256];
    struct cmd_line users = {0};
    const char *mode = "rw", *wanted = "-";
    int c;
    cmd_begin(&cmd, argc, argv);
    while ((c = getopt(argc, argv, "+rn:u:")) != -1) {
        if (c == 'r') {
            mode = "ro";
        } else if (c == 'n') {
            wanted = optarg;
        } else if (c == 'u') {
            cmd_word(&users, optarg);
        } else {
            cmd_usage();
        }
    }
    if (argc - optind < 1) {
        cmd_usage();
    }
    if (realpath(argv[optind], path) == NULL) {
        cmd_fail("%s: %s", argv[optind], strerror(errno));
    }
    catch_signals();
    int fd = cmd_export(wanted, mode, path, users.text.data, name, sizeof name);
    cg_str_fini(&users.text);
    snprintf(tree, sizeof tree, "%s!export!%s", cmd_node(), name);
    if (argc - optind > 1) {
        int status = run(argv + optind + 1, tree);
        cmd_export_end(fd);
        return status;
    }
    printf("%s\n", tree);
    fflush(stdout);
    while (!stopped) {
        pause();
    }
    cmd_export_end(fd);
    return 0;
}
