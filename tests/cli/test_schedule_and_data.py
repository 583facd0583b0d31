"""`doctune schedule` and `doctune data`, against the Vertex AI of this machine."""

from tests.cli.conftest import SPEC, Project

URI = "gs://doctune-local/notes"


def test_a_schedule_is_created_changed_paused_resumed_and_deleted(project: Project) -> None:
    create = ("schedule", "create", "weekly", "--spec", str(SPEC), "-p", "name=Ada")
    assert project(*create, "--cron", "0 3 * * 1").returncode == 0
    assert project(*create, "--cron", "0 4 * * 1", "--time-zone", "Europe/Zurich").returncode == 0

    (listed,) = project.json("schedule", "list", "--json")
    assert listed["cron"] == "TZ=Europe/Zurich 0 4 * * 1"
    for verb, state in (("pause", "paused"), ("resume", "active")):
        assert project("schedule", verb, "weekly").returncode == 0
        assert project.json("schedule", "list", "--json")[0]["state"] == state
    assert project("schedule", "delete", "weekly").returncode == 0
    assert project.json("schedule", "list", "--json") == []


def test_a_schedule_is_refused_where_a_parameter_is_missing(project: Project) -> None:
    done = project("schedule", "create", "bad", "--spec", str(SPEC), "--cron", "0 3 * * 1")

    assert done.returncode == 2
    assert "missing: name" in done.stderr


def test_a_folder_goes_up_and_comes_back_and_only_what_changed_is_sent(project: Project) -> None:
    folder = project.folder / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.txt").write_text("one")
    (folder / "deep/two.txt").write_text("two")

    assert "2 files" in project("data", "upload", str(folder), URI).stdout
    (folder / "one.txt").write_text("changed")
    assert "1 files" in project("data", "upload", str(folder), URI).stdout

    listed = {item["relative"]: item["size"] for item in project.json("data", "ls", URI, "--json")}
    assert listed == {"one.txt": 7, "deep/two.txt": 3}
    back = project.folder / "back"
    assert project("data", "download", URI, str(back)).returncode == 0
    assert (back / "one.txt").read_text() == "changed"
    assert (back / "deep/two.txt").read_text() == "two"


def test_an_upload_may_refuse_to_overwrite(project: Project) -> None:
    folder = project.folder / "kept"
    folder.mkdir()
    (folder / "a.txt").write_text("first")
    uri = "gs://doctune-local/kept"
    assert project("data", "upload", str(folder), uri).returncode == 0
    (folder / "a.txt").write_text("second")

    done = project("data", "upload", str(folder), uri, "--no-overwrite")

    assert done.returncode == 1
    assert "a.txt already exists" in done.stderr
