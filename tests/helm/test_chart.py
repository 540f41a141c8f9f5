"""The chart renders to what Kubernetes takes, holds its promises of safety, and refuses values that break them."""

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from service import __version__, metrics
from service.serving import FINISH_SECONDS
from service.settings import PREFIX, Settings
from service.worker import DRAIN_SECONDS

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "kaoping"
CASES = ("defaults", *sorted(path.stem for path in (Path(__file__).parent / "values").glob("*.yaml")))

CUSTOM = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which Kubernetes itself does not describe."""

VERSIONS = ("1.29", kubernetes_validate.latest_version())

SET_BY_THE_CHART = {
    "DATA", "DRAIN_SECONDS", "EMBEDDED_POSTGRES", "HOST", "JOB_MEMORY_MIB", "METRICS_HOST", "METRICS_PORT", "PORT",
    "TRUSTED_DOCUMENTS", "TRUSTED_ONLY",
}  # fmt: skip
"""Settings that are not for values: the image or another value has them."""

Manifest = dict[str, Any]


def values_of(case: str) -> dict[str, Any]:
    path = Path(__file__).parent / "values" / f"{case}.yaml"
    return {} if case == "defaults" else dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def render(values: dict[str, Any], name: str = "kh") -> list[Manifest]:
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(values, name=name, namespace="kaohe")
    texts = [text for path, text in rendered.items() if not path.endswith("NOTES.txt")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


@cache
def case_manifests(case: str) -> list[Manifest]:
    return render(values_of(case))


@pytest.fixture(params=CASES)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return case_manifests(request.param)


def kind(manifests: list[Manifest], name: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] == name]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Specifications of pods by the part that they are of."""
    for each in manifests:
        part = each["metadata"]["labels"]["app.kubernetes.io/component"]
        if each["kind"] in ("Deployment", "Job"):
            yield part, each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield part, each["spec"]


def variables(pod: Manifest) -> dict[str, Manifest]:
    return {entry["name"]: entry for container in pod["containers"] for entry in container.get("env", [])}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_manifest(manifests: list[Manifest], version: str) -> None:
    seen = [each for each in manifests if each["kind"] not in CUSTOM]
    assert seen
    for each in seen:
        kubernetes_validate.validate(each, version, strict=True)


def test_names_are_unique_and_fit(manifests: list[Manifest]) -> None:
    names = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for _, _, name in names)


def test_a_strict_linter_finds_nothing() -> None:
    for case in CASES:
        report = helm_python.lint(CHART, values_of(case), strict=True, kube_version="v1.29.0", namespace="kaohe")
        worse = [each for each in report["messages"] if each["severity"] > 1]
        assert report["errors"] == []
        assert worse == []


def test_pods_are_locked_down(manifests: list[Manifest]) -> None:
    parts = dict(pods(manifests))
    assert {"api", "worker", "test"} <= set(parts)
    for part, pod in parts.items():
        assert pod["automountServiceAccountToken"] is False, part
        assert pod["securityContext"]["runAsNonRoot"] is True, part
        assert pod["securityContext"]["runAsUser"] > 0, part
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, part
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), part
        assert all("hostPath" not in volume for volume in pod.get("volumes", [])), part
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, part
            assert security["allowPrivilegeEscalation"] is False, part
            assert security["capabilities"] == {"drop": ["ALL"]}, part
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]), part


def test_only_the_migration_gets_the_owners_credentials(manifests: list[Manifest]) -> None:
    for part, pod in pods(manifests):
        assert ("KAOPING_DATABASE_OWNER_URL" in variables(pod)) == (part == "migration"), part


def test_secrets_come_by_reference_alone(manifests: list[Manifest]) -> None:
    assert kind(manifests, "Secret") == []
    secret = {
        PREFIX + name.upper() for name, field in Settings.model_fields.items() if "Secret" in str(field.annotation)
    }
    assert "KAOPING_SIGNING_KEY" in secret
    for part, pod in pods(manifests):
        for name, entry in variables(pod).items():
            assert ("valueFrom" in entry) == (name in secret), (part, name)


def test_every_variable_is_a_setting_of_the_program(manifests: list[Manifest]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for _, pod in pods(manifests):
        assert set(variables(pod)) <= known


def test_api_and_workers_have_what_they_need(manifests: list[Manifest]) -> None:
    needed = {"KAOPING_DATABASE_URL", "KAOPING_REDIS_URL", "KAOPING_SIGNING_KEY"}
    for part, pod in pods(manifests):
        if part in ("api", "worker"):
            assert needed <= set(variables(pod)), part


def test_probes_ask_the_right_doors_and_have_a_time_limit(manifests: list[Manifest]) -> None:
    for part, pod in pods(manifests):
        for container in pod["containers"]:
            if part not in ("api", "worker"):
                continue
            ports = {port["name"] for port in container["ports"]}
            for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/livez")):
                assert container[probe]["httpGet"]["path"] == path
                assert container[probe]["httpGet"]["port"] in ports
                assert container[probe]["timeoutSeconds"] >= 1


def test_a_pod_has_longer_to_end_than_it_drains(manifests: list[Manifest]) -> None:
    for part, pod in pods(manifests):
        if part == "api":
            drain = float(variables(pod)["KAOPING_DRAIN_SECONDS"]["value"])
            assert pod["terminationGracePeriodSeconds"] > drain + FINISH_SECONDS + 10
        if part == "worker":
            assert pod["terminationGracePeriodSeconds"] > DRAIN_SECONDS + 5


def test_selectors_find_the_pods_that_they_mean(manifests: list[Manifest]) -> None:
    labels = {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["template"]["metadata"]["labels"]
        for each in manifests
        if each["kind"] in ("Deployment", "Job")
    }

    def found(selector: dict[str, str]) -> set[str]:
        return {part for part, own in labels.items() if selector.items() <= own.items()}

    for each in manifests:
        part = each["metadata"]["labels"]["app.kubernetes.io/component"]
        match each["kind"]:
            case "Deployment" | "PodDisruptionBudget":
                assert found(each["spec"]["selector"]["matchLabels"]) == {part}
            case "NetworkPolicy":
                assert found(each["spec"]["podSelector"]["matchLabels"]) == {part}
            case "Service":
                assert found(each["spec"]["selector"]) >= ({"api", "worker"} if part == "metrics" else {part})
            case "HorizontalPodAutoscaler":
                assert each["spec"]["scaleTargetRef"]["name"].endswith(f"-{part}")


def test_the_migration_is_a_hook_with_its_own_account_before_it() -> None:
    made = [
        each
        for each in case_manifests("defaults")
        if each["metadata"]["labels"]["app.kubernetes.io/component"] == "migration"
    ]
    weights = {each["kind"]: int(each["metadata"]["annotations"]["helm.sh/hook-weight"]) for each in made}
    assert weights.keys() == {"Job", "ServiceAccount", "NetworkPolicy"}
    assert weights["ServiceAccount"] < weights["Job"]
    assert all(each["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade" for each in made)
    [job] = kind(made, "Job")
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == next(
        each["metadata"]["name"] for each in made if each["kind"] == "ServiceAccount"
    )


def test_switches() -> None:
    defaults, production, small, separate = (
        case_manifests(case) for case in ("defaults", "production", "small", "separate-migration")
    )
    assert not kind(defaults, "Ingress")
    assert not kind(defaults, "ServiceMonitor")
    assert {each["metadata"]["name"] for each in kind(defaults, "HorizontalPodAutoscaler")} == {"kh-kaoping-api"}
    assert len(kind(defaults, "PodDisruptionBudget")) == 2
    assert {"ServiceMonitor", "PrometheusRule", "Ingress"} <= {each["kind"] for each in production}
    assert not {"NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler"} & {each["kind"] for each in small}
    assert [each["spec"]["replicas"] for each in kind(small, "Deployment")] == [1, 1]
    assert not kind(separate, "Job")
    image = dict(pods(production))["api"]["containers"][0]["image"]
    assert image.startswith("registry.example/gov/kaoping@sha256:")
    assert dict(pods(defaults))["api"]["containers"][0]["image"] == f"kaoping:{__version__}"


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
BLOCK = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("an unknown key", {"replicas": 3}, "replicas"),
    ("an unknown key below", {"api": {"replica": 3}}, "replica"),
    ("an inline secret", {"database": {"appUrl": "postgresql://kp_app:hunter2@db/kaoping"}}, "appUrl"),
    ("a password in the repository", {"image": {"repository": "robot:hunter22/kaoping"}}, "repository"),
    ("a tag in the repository", {"image": {"repository": "r.example/kaoping:1.2"}}, "repository"),
    ("an address as the repository", {"image": {"repository": "https://r.example/kaoping"}}, "repository"),
    ("no level of the log", {"settings": {"KAOPING_LOG_LEVEL": "shout"}}, "KAOPING_LOG_LEVEL"),
    (
        "a password in a toleration",
        {"api": {"tolerations": [{"key": "password", "operator": "Equal", "value": "hunter22"}]}},
        "tolerations",
    ),
    ("a password by its short name", {"api": {"podAnnotations": {"db-pwd": "hunter22"}}}, "db-pwd"),
    ("credentials", {"service": {"annotations": {"x/credentials": "hunter22"}}}, "credentials"),
    ("a password in JSON", {"api": {"podAnnotations": {"x/y": '{"password": "hunter22"}'}}}, "podAnnotations"),
    ("basic credentials", {"api": {"podAnnotations": {"x/y": "Basic dXNlcjpwYXNzd29yZA=="}}}, "podAnnotations"),
    ("a token in an address", {"api": {"podAnnotations": {"x/y": "https://h/?token=abcdef1"}}}, "podAnnotations"),
    ("an inline secret among names", {"signingKey": {"value": "x" * 40}}, "value"),
    ("a secret among settings", {"settings": {"KAOPING_SIGNING_KEY": "x" * 40}}, "KAOPING_SIGNING_KEY"),
    ("an unknown setting", {"settings": {"KAOPING_LOG_LEVL": "debug"}}, "KAOPING_LOG_LEVL"),
    ("a number as text", {"api": {"replicas": "three"}}, "replicas"),
    ("no pod", {"worker": {"replicas": 0}}, "replicas"),
    ("no limits", {"api": {"resources": {"limits": None}}}, "limits"),
    ("a port that is none", {"service": {"port": 70000}}, "port"),
    ("an unknown service type", {"service": {"type": "Ingress"}}, "type"),
    ("a tag with blanks", {"image": {"tag": "a b"}}, "tag"),
    ("a digest that is none", {"image": {"digest": "sha256:12"}}, "digest"),
    ("an ingress without host", {"ingress": {"enabled": True}}, "host"),
    ("a worker killed before it drained", {"worker": {"terminationGracePeriodSeconds": 20}}, "terminationGracePeriod"),
    ("an API killed before it drained", {"api": {"drainSeconds": 15}}, "terminationGracePeriod"),
    ("more at least than at most", {"api": {"autoscaling": {"minReplicas": 9}}}, "maxReplicas"),
    ("only trusted documents, and none", {"trustedDocuments": {"only": True}}, "configMapName"),
    ("a label that selects", {"api": {"podLabels": {"app.kubernetes.io/component": "worker"}}}, "component"),
    ("a label's value that is none", {"worker": {"podLabels": {"team": "a b"}}}, "team"),
    ("a password in an address", {"settings": {"KAOPING_OTLP_ENDPOINT": "https://u:hunter2@c:4318"}}, "OTLP_ENDPOINT"),
    ("a password before a registry", {"image": {"repository": "u:hunter2@registry.example/kaoping"}}, "repository"),
    ("a Service's name with a dot", {"fullnameOverride": "kao.ping"}, "fullnameOverride"),
    ("a Service's name with a digit first", {"fullnameOverride": "9kaoping"}, "fullnameOverride"),
    ("a host that is none", {"ingress": {"enabled": True, "host": "a..b"}}, "host"),
    ("a value for all charts", {"global": {"databasePassword": "hunter2"}}, "global"),
    ("an annotation with a password", {"api": {"podAnnotations": {"x.example/db-password": "hunter2"}}}, "db-password"),
    ("an annotation with a key", {"worker": {"podAnnotations": {"signing_key": "x" * 40}}}, "signing_key"),
    ("an annotation that is a secret", {"api": {"podAnnotations": {"x.example/secret": "hunter2"}}}, "e/secret"),
    ("an annotation with a client's secret", {"ingress": {"annotations": {"clientSecret": "x"}}}, "clientSecret"),
    ("an annotation with a setting", {"service": {"annotations": {"KAOPING_REDIS_URL": "x"}}}, "KAOPING_REDIS_URL"),
    ("an address with a password", {"ingress": {"annotations": {"a": "postgresql://kp_app:hunter2@db/x"}}}, "/a'"),
    ("an address with a token", {"serviceAccount": {"annotations": {"a": "see https://ghp_x1@git.example"}}}, "/a'"),
    ("a connection string", {"api": {"podAnnotations": {"a": "host=db password=hunter2"}}}, "/a'"),
    ("a private key", {"api": {"podAnnotations": {"a": "-----BEGIN PRIVATE KEY-----\nMC4CAQ"}}}, "/a'"),
    ("a token", {"worker": {"podAnnotations": {"a": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"}}}, "/a'"),
    ("a password of origins", {"settings": {"KAOPING_ALLOWED_ORIGINS": "https://u:hunter2@a"}}, "ALLOWED_ORIGINS"),
    ("a label with a password", {"api": {"podLabels": {"password": "hunter2"}}}, "password"),
    ("a node with a password", {"api": {"nodeSelector": {"api-key": "hunter2"}}}, "api-key"),
    ("an annotation's name that is none", {"api": {"podAnnotations": {"a b": "c"}}}, "a b"),
    ("a label's name that is none", {"api": {"podLabels": {"a/b/c": "d"}}}, "a/b/c"),
    ("an annotation that is a number", {"api": {"podAnnotations": {"a": 1}}}, "podAnnotations/a"),
    ("an unknown key of a toleration", {"api": {"tolerations": [{"keys": "a"}]}}, "keys"),
    ("an unknown effect", {"api": {"tolerations": [{"key": "a", "effect": "NoScheduling"}]}}, "effect"),
    ("an unknown affinity", {"worker": {"affinity": {"nodeAfinity": {}}}}, "nodeAfinity"),
    ("an unknown key within", {"worker": {"affinity": {"podAntiAffinity": {"required": []}}}}, "required"),
    ("an affinity without topology", {"api": {"affinity": {"podAffinity": {REQUIRED: [{}]}}}}, "topologyKey"),
    ("an unknown peer", {"networkPolicy": {"apiFrom": [{"namespace": "x"}]}}, "namespace"),
    ("a peer that is nobody", {"networkPolicy": {"metricsFrom": [{}]}}, "metricsFrom"),
    ("a peer of two kinds", {"networkPolicy": {"redis": {"to": [{**BLOCK, "podSelector": {}}]}}}, "redis/to"),
    ("an unknown key of a selector", {"networkPolicy": {"apiFrom": [{"podSelector": {"app": "x"}}]}}, "app"),
    ("a network that is none", {"networkPolicy": {"database": {"to": [{"ipBlock": {"cidr": "db"}}]}}}, "cidr"),
    ("an unknown key of a rule", {"networkPolicy": {"extraEgress": [{"from": []}]}}, "from"),
    ("an unknown key of a port", {"networkPolicy": {"extraEgress": [{"ports": [{"number": 1}]}]}}, "number"),
    ("more asked for than allowed", {"api": {"resources": {"requests": {"cpu": "1100m"}}}}, "requests.cpu"),
    ("a computation as large as its pod", {"worker": {"jobMemoryMiB": 3072}}, "worker.jobMemoryMiB (3072)"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "named"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_wrong_values_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(helm_python.HelmError) as refused:
        render(copy.deepcopy(values))
    assert named in str(refused.value)


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("nothing for all charts", {"global": {}}),
    ("references to secrets", {"api": {"podAnnotations": {
        "vault.hashicorp.com/agent-inject-secret-db-password": "secret/data/db",
        "checksum/secret": "0" * 64,
        "vault.hashicorp.com/agent-inject-template-db": "postgresql://{{.Data.username}}:{{.Data.password}}@db/kaoping",
        "secret.reloader.stakater.com/reload": "kaoping-database,kaoping-redis",
    }}}),
    ("an ingress that asks a user's name", {"ingress": {"annotations": {
        "nginx.ingress.kubernetes.io/auth-secret": "basic-auth",
        "nginx.ingress.kubernetes.io/auth-url": "https://$host/oauth2/auth?rd=$escaped_request_uri",
        "cert-manager.io/private-key-rotation-policy": "Always",
        "contact": "kaohe@district.example, https://district.example/@kaohe",
    }}}),
    ("every kind of toleration", {"worker": {"tolerations": [
        {"operator": "Exists"},
        {"key": "dedicated", "operator": "Equal", "value": "kaohe", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "tolerationSeconds": 30},
    ]}}),
    ("every kind of affinity", {"api": {"affinity": {
        "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{
            "matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}],
            "matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["node-1.example"]}],
        }]}},
        "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 9, "podAffinityTerm": {
            "topologyKey": "topology.kubernetes.io/zone", "namespaces": ["db"], "namespaceSelector": {},
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "postgresql"}},
        }}]},
        "podAntiAffinity": {REQUIRED: [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {
            "matchExpressions": [{"key": "noisy", "operator": "Exists"}]}}]},
    }}}),
    ("every kind of peer", {"networkPolicy": {
        "apiFrom": [BLOCK, {"podSelector": {}, "namespaceSelector": {"matchLabels": {"team": "kaohe"}}}],
        "extraEgress": [
            {"to": [{"ipBlock": {"cidr": "fd00::/8"}}]},
            {"ports": [{"port": "https"}, {"port": 32000, "endPort": 32768, "protocol": "UDP"}]},
        ],
    }}),
]  # fmt: skip


@pytest.mark.parametrize("values", [case[1] for case in GOOD], ids=[case[0] for case in GOOD])
def test_what_kubernetes_takes_is_taken(values: dict[str, Any]) -> None:
    for each in render(copy.deepcopy(values)):
        kubernetes_validate.validate(each, VERSIONS[0], strict=True)


ASCENDING: dict[str, list[str | int]] = {
    "cpu": ["1m", "250m", "0.5", 1, "1.5", "1501m", "2", "1k"],
    "memory": [
        "1500m", 2, "1k", "1Ki", "1025", "0.9M", "1M", "1Mi", 1048577, "1.5Mi", "1G", "1Gi", "1.5Gi", 1610612737,
        "1T", "1Ti", "1100G", "1000000T",
    ],
}  # fmt: skip
EQUAL: dict[str, list[tuple[str | int, str | int]]] = {
    "cpu": [(1, "1000m"), ("0.25", "250m")],
    "memory": [("1024Mi", "1Gi"), (536870912, "0.5Gi"), ("1M", "1000k")],
}


def refused(name: str, request: str | int, limit: str | int) -> bool:
    said = ""
    try:
        render({"migration": {"resources": {"requests": {name: request}, "limits": {name: limit}}}})
    except helm_python.HelmError as error:
        said = str(error)
    assert (f"migration.resources.requests.{name} ({request}) is above its limit ({limit})" in said) == bool(said)
    return bool(said)


@pytest.mark.parametrize("name", ASCENDING)
def test_requests_above_limits_are_refused_in_every_unit(name: str) -> None:
    for less, more in pairwise(ASCENDING[name]):
        assert not refused(name, less, more), (less, more)
        assert refused(name, more, less), (more, less)
    for one, other in EQUAL[name]:
        assert not refused(name, one, other)
        assert not refused(name, other, one)


def test_a_computation_is_smaller_than_its_pod() -> None:
    for memory, most in (("3Gi", 3071), ("3G", 2861), ("3000M", 2861), (3221225473, 3072)):
        worker = {"resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": memory}}}
        assert render({"worker": {**worker, "jobMemoryMiB": most}})
        with pytest.raises(helm_python.HelmError, match=rf"worker.jobMemoryMiB \({most + 1}\) must be below"):
            render({"worker": {**worker, "jobMemoryMiB": most + 1}})


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"settings": {"KAOPING_LOG_LEVEL": "debug"}}, {"api", "worker"}),
        ({"redis": {"url": {"secretName": "other", "key": "url"}}}, {"api", "worker"}),
        ({"trustedDocuments": {"configMapName": "documents-2"}}, {"api"}),
    ],
    ids=["a setting", "a secret's name", "a ConfigMap's name"],
)
def test_pods_start_again_where_what_they_read_has_changed(values: dict[str, Any], parts: set[str]) -> None:
    before, after = (
        {each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"] for each in kind(made, "Deployment")}
        for made in (
            render({"trustedDocuments": {"configMapName": "documents-1"}}),
            render({"trustedDocuments": {"configMapName": "documents-1"}, **values}),
        )
    )
    assert {part for part, spec in after.items() if spec["template"] != before[part]["template"]} == parts


def described(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything that a schema describes with a type."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield path, schema
        for name, part in schema.items():
            yield from described(part, f"{path}/{name}")
    elif isinstance(schema, list):
        for place, part in enumerate(schema):
            yield from described(part, f"{path}/{place}")


def test_no_object_of_values_takes_just_anything() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    of_type: dict[str, dict[str, dict[str, Any]]] = {}
    for path, each in described(schema):
        of_type.setdefault(each["type"], {})[path] = each
    free = {
        path: each
        for path, each in of_type["object"].items()
        if each.get("additionalProperties") is not False and each.get("maxProperties") != 0
    }
    assert free.keys() == {"/$defs/annotations", "/$defs/labels", "/$defs/matchLabels"}
    assert all(each["propertyNames"] and each["additionalProperties"] for each in free.values())
    assert all(each["items"] for each in of_type["array"].values())


def nulls(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every value of values.yaml that somebody may take away, and whether it holds something."""
    for name, value in values.items():
        yield (*path, name), value not in ({}, [], "")
        if isinstance(value, dict) and name not in ("labels", "requests"):
            yield from nulls(value, (*path, name))


def test_what_the_chart_needs_cannot_be_taken_away() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    for path, holds in nulls(values):
        without: Any = None
        for name in reversed(path):
            without = {name: without}
        if not holds or path[-1] == "requests":
            render(without)
            continue
        with pytest.raises(helm_python.HelmError, match=f"missing property '{path[-1]}'"):
            render(without)


def test_numbers_of_a_values_file_stay_as_they_are_written() -> None:
    written = """
        settings: { KAOPING_BODY_BYTES: 16777216, KAOPING_PLANS: false }
        worker: { jobMemoryMiB: 1048576, resources: { limits: { memory: 2199023255552 } } }"""
    had = variables(dict(pods(render(yaml.safe_load(written))))["worker"])
    assert had["KAOPING_BODY_BYTES"]["value"] == "16777216"
    assert had["KAOPING_PLANS"]["value"] == "false"
    assert had["KAOPING_JOB_MEMORY_MIB"]["value"] == "1048576"


@pytest.mark.parametrize(("release", "name"), [("kao.ping", "kao-ping-kaoping"), ("k" * 38 + "--k", "k" * 38)])
def test_services_have_names_that_services_may_have(release: str, name: str) -> None:
    assert {each["metadata"]["name"] for each in kind(render({}, release), "Service")} == {name, f"{name}-metrics"}


def test_a_release_that_no_service_can_be_named_after_is_refused() -> None:
    with pytest.raises(helm_python.HelmError, match="set fullnameOverride"):
        render({}, "1abc")
    assert render({"fullnameOverride": "kaoping"}, "1abc")


def test_the_account_has_the_name_that_was_wished() -> None:
    made = render({"serviceAccount": {"name": "own"}})
    assert "own" in {each["metadata"]["name"] for each in kind(made, "ServiceAccount")}
    assert dict(pods(made))["api"]["serviceAccountName"] == "own"


def test_every_setting_is_in_values_or_has_another_place() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    plain = {name.upper() for name, field in Settings.model_fields.items() if "Secret" not in str(field.annotation)}
    assert {
        name.removeprefix(PREFIX) for name in schema["properties"]["settings"]["properties"]
    } == plain - SET_BY_THE_CHART


def test_readme_tells_every_value() -> None:
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([A-Za-z.]+)`", readme))

    def untold(values: dict[str, Any], path: str = "") -> Iterator[str]:
        for name, value in values.items():
            here = f"{path}{name}"
            if here not in told and not (isinstance(value, dict) and value):
                yield here
            elif here not in told:
                yield from untold(value, f"{here}.")

    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert list(untold(values)) == []


def test_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == __version__


def expressions() -> Iterator[str]:
    """Every PromQL expression of the alert rules and of the dashboard."""
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    yield from (rule["expr"] for group in alerts["groups"] for rule in group["rules"])
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", []))


def test_alerts_and_dashboard_ask_for_metrics_and_labels_that_exist() -> None:
    known: dict[str, set[str]] = {}
    for collector, names in metrics.REGISTRY._collector_to_names.items():
        known.update({name: set(getattr(collector, "_labelnames", ())) for name in names})
    for family in metrics.REGISTRY.collect():
        for name in {family.name, *(sample.name for sample in family.samples)}:
            known.setdefault(name, set()).update(*(sample.labels for sample in family.samples))
    asked = list(expressions())
    assert len(asked) > 30
    for expression in asked:
        named = set(re.findall(r"\bkaoping_\w+", expression))
        assert named
        assert named <= set(known), f"{named - set(known)} is declared nowhere: {expression}"
        labels = {label for block in re.findall(r"\bby \(([^)]*)\)", expression) for label in re.split(r", *", block)}
        labels |= set(re.findall(r"\{(\w+)=", expression))
        assert labels <= {"le", "instance", "state"}.union(*(known[name] for name in named)), expression
