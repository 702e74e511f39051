{{- define "common.shape.groupKind" -}}
group!: string
kind!: string
{{- end }}

{{- define "common.shape.destination" -}}
name: string
namespace: string
server: string
{{- end }}

{{- define "common.shape.source" -}}
repoURL!: string
path: string
chart: string
ref: string
targetRevision: string
directory:
  include: string
  exclude: string
  recurse: boolean
  jsonnet:
    libs: [string]
    extVars:
    - {name!: string, value!: string, code: boolean}
helm:
  releaseName: string
  values: string
  valuesObject: any
  valueFiles: [string]
  ignoreMissingValueFiles: boolean
  passCredentials: boolean
  skipCrds: boolean
  version: string
  fileParameters:
  - {name: string, path: string}
  parameters:
  - {name: string, value: string, forceString: boolean}
kustomize:
  namePrefix: string
  nameSuffix: string
  namespace: string
  version: string
  images: [string]
  components: [string]
  commonLabels: map
  commonAnnotations: map
  forceCommonLabels: boolean
  patches:
  - {path: string, patch: string, options: any, target: {group: string, version: string, kind: string, name: string, namespace: string, labelSelector: string}}
plugin:
  name: string
  env:
  - {name!: string, value!: string}
  parameters:
  - {name: string, string: string, array: [string], map: map}
{{- end }}

{{- define "common.shape.syncPolicy" -}}
automated: {prune: boolean, selfHeal: boolean, allowEmpty: boolean}
syncOptions: [string]
managedNamespaceMetadata: "@metadata"
retry:
  limit: integer
  backoff: {duration: string, factor: integer, maxDuration: string}
{{- end }}

{{- define "common.shape.operation" -}}
initiatedBy: {username: string, automated: boolean}
info:
- {name!: string, value!: string}
sync:
  dryRun: boolean
  prune: boolean
  revision: string
  manifests: [string]
  source: "@source"
  syncOptions: [string]
  resources:
  - {group: string, kind!: string, name!: string, namespace: string}
{{- end }}

{{- define "common.shape.applicationSpec" -}}
project!: string
destination!: "@destination"
revisionHistoryLimit: integer?
source: "@source"
sources: ["@source"]
syncPolicy: "@syncPolicy"
ignoreDifferences:
- {group: string, kind!: string, name: string, namespace: string, jsonPointers: [string], jqPathExpressions: [string], managedFieldsManagers: [string]}
info:
- {name!: string, value!: string}
{{- end }}

{{- define "common.shape.applicationTemplate" -}}
metadata: {name: string, namespace: string, labels: map, annotations: map, finalizers: [string]}
spec!: "@applicationSpec"
{{- end }}

{{- define "common.shape.clusterGenerator" -}}
selector: "@labelSelector"
values: map
template: any
{{- end }}

{{- define "common.shape.gitGenerator" -}}
repoURL!: string
revision!: string
pathParamPrefix: string
requeueAfterSeconds: integer
values: map
directories:
- {path!: string, exclude: boolean}
files:
- path!: string
template: any
{{- end }}

{{- define "common.shape.listGenerator" -}}
elements: [any]
elementsYaml: string
template: any
{{- end }}

{{- define "common.shape.tokenRef" -}}
secretName!: string
key!: string
{{- end }}

{{- define "common.shape.scmGenerator" -}}
cloneProtocol: string
requeueAfterSeconds: integer
values: map
filters:
- {branchMatch: string, labelMatch: string, pathsDoNotExist: [string], pathsExist: [string], repositoryMatch: string}
github: {organization!: string, allBranches: boolean, api: string, appSecretName: string, tokenRef: "@tokenRef"}
gitlab: {group!: string, allBranches: boolean, api: string, includeSubgroups: boolean, insecure: boolean, tokenRef: "@tokenRef"}
bitbucket: {owner!: string, user!: string, allBranches: boolean, appPasswordRef!: "@tokenRef"}
template: any
{{- end }}

{{- define "common.shape.pullRequestGenerator" -}}
requeueAfterSeconds: integer
filters:
- {branchMatch: string, targetBranchMatch: string}
github: {owner!: string, repo!: string, api: string, labels: [string], tokenRef: "@tokenRef"}
gitlab: {project!: string, api: string, labels: [string], pullRequestState: string, tokenRef: "@tokenRef"}
bitbucketServer: {project!: string, repo!: string, api!: string, basicAuth: {username!: string, passwordRef!: "@tokenRef"}}
template: any
{{- end }}

{{- define "common.shape.generator" -}}
clusters: "@clusterGenerator"
git: "@gitGenerator"
list: "@listGenerator"
scmProvider: "@scmGenerator"
pullRequest: "@pullRequestGenerator"
matrix: any
merge: any
selector: "@labelSelector"
{{- end }}
