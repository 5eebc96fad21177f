export interface RuntimeSpec {}; export interface RuntimeResources {}; export interface RuntimeProcess {}
