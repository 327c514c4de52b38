/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Print the partitions as devices of containers; see cdi.h. It must not know a container engine.
 *
 * What all devices have in common is in the edits of the whole: the mounts of the tree, where the
 * daemon has it, and of the directories of the libraries that keep programs within their limits. A
 * device has the variables of `environment`, the device nodes, and the hook that joins.
 */
#include "cdi.h"

#include "caller.h"
#include "core/base/utf8.h"
#include "core/host/host.h"
#include "env.h"
#include "files.h"
#include "waits.h"

#include <stdio.h>
#include <string.h>

/* Version 0.6.0 is refused by podman 4.3, without the reason. */
#define VERSION   "0.5.0"
#define KIND      "chronosfs.io/gpu"
#define READ_ONLY "\"ro\", \"rbind\", \"nosuid\", \"nodev\""
#define MPS_PIPE  "CUDA_MPS_PIPE_DIRECTORY"
/* Longer than a join can take. */
#define HOOK_TIMEOUT_S 60
/* With so many partitions the text of root is printed once for all reads within this time. */
#define SHARED_MIN 64
#define SHARED_NS  (100 * NS_PER_MS)

/* -- JSON --------------------------------------------------------------------------- */

/* Bytes outside of UTF-8 become U+FFFD: such a path is not found, and the container not started. */
static void print_text(const char *string, struct strbuf *out)
{
    const unsigned char *text = (const unsigned char *)string;
    strbuf_add(out, "\"", 1);
    for (size_t length; *text; text += length) {
        length = utf8_length(text);
        if (length == 0) {
            strbuf_print(out, "\\ufffd");
            length = 1;
        } else if (*text == '"' || *text == '\\') {
            strbuf_print(out, "\\%c", *text);
        } else if (*text < 0x20 || *text == 0x7f) {
            strbuf_print(out, "\\u%04x", *text);
        } else {
            strbuf_add(out, (const char *)text, length);
        }
    }
    strbuf_add(out, "\"", 1);
}

/* Print what separates an element from the one before. */
static void print_comma(bool *first, struct strbuf *out)
{
    if (!*first)
        strbuf_add(out, ", ", 2);
    *first = false;
}

/* -- what all have in common ---------------------------------------------------------- */

static void print_mount(const char *path, const char *options, bool first, struct strbuf *out)
{
    strbuf_print(out, "%s\n    {\"hostPath\": ", first ? "" : ",");
    print_text(path, out);
    strbuf_print(out, ", \"containerPath\": ");
    print_text(path, out);
    strbuf_print(out, ", \"options\": [%s]}", options);
}

/* Copy the directory of a library. False: there is no library. */
static bool take_directory(const char *library, char directory[static PATH_MAX])
{
    const char *slash = strrchr(library, '/');
    if (!slash || slash == library)
        return false;
    memcpy(directory, library, (size_t)(slash - library));
    directory[slash - library] = '\0';
    return true;
}

static void print_mounts(const struct tree *tree, struct strbuf *out)
{
    const char *const libraries[] = {tree->shared->opencl_layer, tree->shared->cuda_shim};
    char directory[PATH_MAX], last[PATH_MAX] = "";
    print_mount(tree->shared->mount_point,
                "\"rbind\", \"rslave\", \"nosuid\", \"nodev\", \"noexec\"", true, out);
    for (int i = 0; i < 2; i++) {
        if (!take_directory(libraries[i], directory) || !strcmp(directory, last))
            continue;
        print_mount(directory, READ_ONLY, false, out);
        strcpy(last, directory);
    }
}

/* -- a device ---------------------------------------------------------------------------- */

struct list {
    struct strbuf *out;
    bool first;
    char pipe[ENV_VALUE_MAX]; /* the directory that MPS_PIPE names, or "" */
};

static void print_variable(void *context, const char *name, const char *value)
{
    struct list *list = context;
    char text[ENV_VALUE_MAX + 64];
    print_comma(&list->first, list->out);
    snprintf(text, sizeof(text), "%s=%s", name, value);
    print_text(text, list->out);
    if (!strcmp(name, MPS_PIPE))
        snprintf(list->pipe, sizeof(list->pipe), "%s", value);
}

/* A container with two partitions has the variables of the last one alone, but for this one, which
 * has a name of its own. */
static void print_own_place(struct tree *tree, const struct partition *partition, struct list *list)
{
    char name[64], text[ENV_VALUE_MAX];
    snprintf(name, sizeof(name), "CHRONOS_PARTITION_p%llu", (unsigned long long)partition->id);
    env_print_directories(tree, partition, text);
    print_variable(list, name, text);
}

static void print_nodes(const struct tree *tree, uint32_t device, struct list *list)
{
    const struct host_state *host = tree->host_state;
    char node[HOST_NODES_MAX];
    const char *next = device < host->device_count ? host->device[device].nodes : "";
    while (*next) {
        size_t length = strcspn(next, " ");
        memcpy(node, next, length);
        node[length] = '\0';
        next += length + (next[length] == ' ');
        print_comma(&list->first, list->out);
        strbuf_print(list->out, "{\"path\": ");
        print_text(node, list->out);
        strbuf_print(list->out, ", \"permissions\": \"rw\"}");
    }
}

/* An engine runs the hook outside of the container, when that exists and has not started. */
static void print_hook(const struct tree *tree, const struct partition *partition,
                       struct strbuf *out)
{
    strbuf_print(out, "{\"hookName\": \"createRuntime\", \"path\": ");
    print_text(tree->shared->command, out);
    strbuf_print(out, ", \"args\": [\"chronos\", \"join\", \"--mount\", ");
    print_text(tree->shared->mount_point, out);
    strbuf_print(out, ", \"--oci\", \"p%llu\"], \"timeout\": %d}",
                 (unsigned long long)partition->id, HOOK_TIMEOUT_S);
}

static void print_device(struct tree *tree, const struct partition *partition, struct strbuf *out)
{
    struct list variables = {.out = out, .first = true}, nodes = variables;
    strbuf_print(out, "{\"name\": \"p%llu\", \"containerEdits\": {\n    \"env\": [",
                 (unsigned long long)partition->id);
    env_each(tree, partition, print_variable, &variables);
    print_own_place(tree, partition, &variables);
    strbuf_print(out, "],\n    \"deviceNodes\": [");
    for (uint32_t i = 0; i < partition->share_count; i++)
        print_nodes(tree, partition->shares[i].device, &nodes);
    if (variables.pipe[0]) {
        strbuf_print(out, "],\n    \"mounts\": [");
        print_mount(variables.pipe, READ_ONLY, true, out);
    }
    strbuf_print(out, "],\n    \"hooks\": [");
    print_hook(tree, partition, out);
    strbuf_print(out, "]}}");
}

/* -- all of a reader ---------------------------------------------------------------------- */

/* Return whether the reader may add processes, as the file `procs` will say. */
static bool may_use(const struct tree *tree, const struct caller *caller,
                    struct caller_groups *groups, const struct partition *partition)
{
    const mode_t mode = partition->mode;
    if (engine_may_act(caller, partition))
        return true;
    if (caller->uid == 0 || caller->uid == partition->uid)
        return false;
    if (guests_has(engine_guests(tree->engine, partition->id), caller->uid))
        return true;
    if (!(mode & 0020) == !(mode & 0002))
        return mode & 0002;
    return mode & (caller_groups_have(tree, groups, partition->gid) ? 0020 : 0002);
}

static void print_all(struct tree *tree, const struct caller *caller, struct strbuf *out)
{
    struct caller_groups groups = {.pid = caller->pid, .gid = caller->gid};
    const struct partition *partition;
    bool first = true;
    strbuf_print(out, "{\"cdiVersion\": \"" VERSION "\", \"kind\": \"" KIND
                      "\",\n\"containerEdits\": {\"mounts\": [");
    print_mounts(tree, out);
    strbuf_print(out, "]},\n\"devices\": [");
    for (uint64_t id = 0; (partition = engine_next(tree->engine, id)); id = partition->id) {
        if (waits_is_pending(partition) || !may_use(tree, caller, &groups, partition))
            continue;
        strbuf_print(out, first ? "\n" : ",\n");
        first = false;
        print_device(tree, partition, out);
    }
    strbuf_print(out, "]}\n");
    caller_groups_release(&groups);
}

/* Those of root are all partitions: a long text, which is read in pieces and asked for its length,
 * is printed once for all. */
void cdi_print(struct tree *tree, uint32_t uid, struct strbuf *out)
{
    struct cdi_text *roots = &tree->cdi;
    struct caller caller;
    caller_get(tree, uid, tree->reader_gid, tree->reader, &caller);
    if (!caller.root || engine_count(tree->engine) < SHARED_MIN) {
        print_all(tree, &caller, out);
        return;
    }
    if (roots->seq != tree->last_seq || tree->now_ns - roots->made_ns >= SHARED_NS ||
        roots->text.failed || !roots->text.length) {
        roots->seq = tree->last_seq;
        roots->made_ns = tree->now_ns;
        strbuf_free(&roots->text);
        print_all(tree, &caller, &roots->text);
    }
    strbuf_add(out, roots->text.data, roots->text.length);
    out->failed |= roots->text.failed;
}
