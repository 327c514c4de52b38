/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses libchronos.so. Executes the lines of its standard input and answers each with
 * a line: the result, and the sentence if it is a failure, else what was read.
 *
 *   open [MOUNT]        close               mount
 *   request DEVICE REQUEST                  create DEVICE FRACTION SECONDS [USER]
 *   release ID          extend ID SECONDS   remaining ID
 *   get ID NAME         set ID NAME VALUE   show ID       list       stats
 *   join ID PID         leave PID           env ID
 *   watch ID            wait MS
 *   fork                a child executes the lines until `exit`
 *   closeall            closes every descriptor it has, as daemons do
 *   streams MOUNT ID    opens MOUNT and watches ID with the standard streams closed: how many are
 *                      open then
 *   chdir DIRECTORY
 */
#include "tools/libchronos/chronos.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static ChronosPartitionerHandle handle;
static int watched = -1;

static void answer(long long r, const char *text)
{
    printf("%lld %s\n", r, r < 0 ? chronos_get_last_error() : text);
}

static void print_info(const ChronosPartitionInfo *info)
{
    printf(" %s gpu%d %.6f %d %d %s %d %d %d %s %llu", info->partition_id, info->device_index,
           info->memory_fraction, info->duration_seconds, info->time_remaining_seconds,
           info->username, info->process_id, info->active, info->expiring,
           info->name[0] ? info->name : "-", (unsigned long long)info->memory_bytes);
}

static void list(void)
{
    static ChronosPartitionInfo all[2000];
    size_t count = sizeof(all) / sizeof(all[0]);
    int r = chronos_list_partitions(handle, all, &count);
    if (r < 0) {
        answer(r, "");
        return;
    }
    printf("%zu", count);
    for (size_t i = 0; i < count; i++)
        printf(" %s", all[i].partition_id);
    printf("\n");
}

static void stats(void)
{
    ChronosDeviceStats all[8];
    size_t count = 8;
    int r = chronos_get_device_stats(handle, all, &count);
    if (r < 0) {
        answer(r, "");
        return;
    }
    printf("%zu", count);
    for (size_t i = 0; i < count; i++)
        printf(" %d %llu %.2f %d", all[i].device_index,
               (unsigned long long)all[i].memory_total_bytes, all[i].available_percent,
               all[i].partitions);
    printf("\n");
}

static void show(const char *id)
{
    ChronosPartitionInfo info;
    int r = chronos_get_partition(handle, id, &info);
    if (r < 0) {
        answer(r, "");
        return;
    }
    printf("%d", r);
    print_info(&info);
    printf("\n");
}

static void environment(const char *id)
{
    char *text = NULL;
    int r = chronos_get_environment(handle, id, &text);
    for (char *at = text; at && *at; at++)
        *at = *at == '\n' ? ' ' : *at;
    answer(r, text);
    free(text);
}

static void split(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid > 0) {
        waitpid(pid, NULL, 0);
        printf("back\n");
    } else {
        printf("child\n");
    }
}

static void use_handle(const char *word, const char *id, const char *name, const char *value)
{
    char text[4096] = "";
    if (strcmp(word, "request") == 0) {
        char request[512];
        snprintf(request, sizeof(request), "%s%s%s", name, *value ? " " : "", value);
        answer(chronos_request_partition(handle, id, request, text, sizeof(text)), text);
    } else if (strcmp(word, "suggest") == 0) {
        char request[512];
        snprintf(request, sizeof(request), "%s%s%s", name, *value ? " " : "", value);
        int r = chronos_suggest(handle, id, request, text, sizeof(text));
        for (char *at = text; *at; at++)
            *at = *at == '\n' ? '|' : *at;
        answer(r, text);
    } else if (strcmp(word, "create") == 0) {
        char seconds[16] = "", user[64] = "";
        sscanf(value, "%15s %63s", seconds, user);
        answer(chronos_create_partition(handle, atoi(id), atof(name), atoi(seconds),
                                        user[0] ? user : NULL, text, sizeof(text)),
               text);
    } else if (strcmp(word, "release") == 0) {
        answer(chronos_release_partition(handle, id), "");
    } else if (strcmp(word, "extend") == 0) {
        answer(chronos_extend_partition(handle, id, atoll(name)), "");
    } else if (strcmp(word, "remaining") == 0) {
        answer(chronos_remaining(handle, id), "");
    } else if (strcmp(word, "get") == 0) {
        answer(chronos_get_value(handle, id, name, text, sizeof(text)), text);
    } else if (strcmp(word, "set") == 0) {
        answer(chronos_set_value(handle, id, name, value), "");
    } else if (strcmp(word, "join") == 0) {
        answer(chronos_join(handle, id, atoi(name)), "");
    } else if (strcmp(word, "leave") == 0) {
        answer(chronos_leave(handle, atoi(id)), "");
    } else {
        printf("what?\n");
    }
}

static void close_streams(const char *mount, const char *id)
{
    ChronosPartitionerHandle other;
    int kept[3], open = 0;
    char text[256];
    for (int fd = 0; fd < 3; fd++) {
        kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
        close(fd);
    }
    bool good = chronos_partitioner_open(mount, &other) == 0 && chronos_fd(other, id) >= 0 &&
                chronos_request_partition(other, "0", "0.1 600 hold", text, sizeof(text)) == 0;
    for (int fd = 0; fd < 3; fd++) {
        open += fcntl(fd, F_GETFD) >= 0;
        dup2(kept[fd], fd);
        close(kept[fd]);
    }
    printf("%d\n", good ? open : -1);
    chronos_partitioner_destroy(other);
}

static void obey(char *line)
{
    char word[32] = "", id[256] = "", name[256] = "", value[256] = "";
    if (sscanf(line, "%31s %255s %255s %255[^\n]", word, id, name, value) < 1)
        return;
    if (strcmp(word, "open") == 0) {
        answer(chronos_partitioner_open(id[0] ? id : NULL, &handle), "");
    } else if (strcmp(word, "close") == 0) {
        chronos_partitioner_destroy(handle);
        handle = NULL;
        printf("0\n");
    } else if (strcmp(word, "mount") == 0) {
        printf("%s\n", chronos_get_mount(handle));
    } else if (strcmp(word, "list") == 0) {
        list();
    } else if (strcmp(word, "stats") == 0) {
        stats();
    } else if (strcmp(word, "show") == 0) {
        show(id);
    } else if (strcmp(word, "env") == 0) {
        environment(id);
    } else if (strcmp(word, "watch") == 0) {
        watched = chronos_fd(handle, id);
        answer(watched, "");
    } else if (strcmp(word, "wait") == 0) {
        answer(chronos_wait(watched, atoi(id)), "");
    } else if (strcmp(word, "fork") == 0) {
        split();
    } else if (strcmp(word, "closeall") == 0) {
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        printf("0\n");
    } else if (strcmp(word, "streams") == 0) {
        close_streams(id, name);
    } else if (strcmp(word, "chdir") == 0) {
        printf("%d\n", chdir(id));
    } else if (strcmp(word, "exit") == 0) {
        fflush(stdout);
        _exit(0);
    } else {
        use_handle(word, id, name, value);
    }
}

int main(void)
{
    char line[1024];
    setvbuf(stdin, NULL, _IONBF, 0);
    while (fgets(line, sizeof(line), stdin)) {
        obey(line);
        fflush(stdout);
    }
    chronos_partitioner_destroy(handle);
    return 0;
}
