"""Makes sure that our own programs are built."""
import os
import subprocess


class BuildError(Exception):
    """Our programs can't be had; its text says what to do."""


TARGETS = {"preforkd": "preforkd_program"}


def complete(programs):
    """Builds what is missing below the build folder, if that folder has been configured. Without the daemon
    and the load client nothing can be measured; cases that need one of the others leave it out."""
    missing = programs.missing()
    if not missing:
        return
    if not os.path.exists(os.path.join(programs.build, "Makefile")) and not {"preforkd", "load"} & set(missing):
        print(f"bench/run: not built: {', '.join(missing)}", flush=True)
        return
    if not os.path.exists(os.path.join(programs.build, "CMakeCache.txt")):
        raise BuildError(f"{programs.build} has no build in it; run 'sh conf/setup test' once, or name the folder with "
                         "--build")
    targets = [TARGETS.get(name, name) for name in missing]
    print(f"building {', '.join(targets)}", flush=True)
    command = ["cmake", "--build", programs.build, "--parallel", str(os.cpu_count() or 1), "--target", *targets]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        raise BuildError(f"'{' '.join(command)}' failed; see above")
