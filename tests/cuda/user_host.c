/* SPDX-License-Identifier: Apache-2.0 */
/* Open the plugin and run it. Nothing of what it is linked to is visible to others. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

int main(int count, char **words)
{
    void *plugin = count > 1 ? dlopen(words[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    int (*run)(void) = plugin ? (int (*)(void))(uintptr_t)dlsym(plugin, "user_main") : NULL;
    if (!run)
        printf("%s\n", dlerror());
    return run ? run() : 1;
}
